/** Mounts between processes: one waits, holds files open, or has its own namespace. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkMounts } from '../../../core/check/mounts.js'
import { VarveError } from '../../../core/errors.js'
import { layerIdOf } from '../../../core/graph/rules.js'
import { createMounts } from '../../../core/mount/mounts.js'
import { createMountSpace } from '../../../core/mount/space.js'
import { recover } from '../../../core/recover/recover.js'
import { SMALL_NAME, writeSmallImage } from '../../../fixtures/small.js'
import { endOf, firstOutput, openNamespace } from '../../support/namespace.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { CLI, type Varve, varveAt, withVarve } from '../../support/varve.js'
import { inWorld } from '../store/world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

test('A mount that waited for a commit shows the committed layer, read-only.', { skip: NEEDS_ROOT }, () =>
  inWorld(async ({ db, graph, driver, root, uses }) => {
    const mounts = createMounts({
      db,
      uses,
      graph,
      root,
      driver: {
        ...driver,
        async get(id, { readonly }) {
          const [mount] = await driver.get(id, { readonly })
          return mount === undefined ? [] : [{ ...mount, options: ['rbind', readonly ? 'ro' : 'rw'] }]
        },
      },
    })
    const row = await graph.prepare()
    const committing = await graph.lockLayer(row.layer)
    const mounting = mounts.mount(row)
    await graph.commit(row.id)
    committing.release()
    const place = await mounting
    try {
      assert.throws(() => writeFileSync(`${place}/late`, ''), { code: 'EROFS' })
      assert.equal(db.mounts.get(row.id, place)?.readonly, true)
    } finally {
      await mounts.unmount(row)
    }
    const removing = await graph.lockLayer(row.layer)
    const late = mounts.mount(row)
    removing.release()
    const [mounted, removed] = await Promise.allSettled([late, graph.remove(row.id)])
    if (mounted.status === 'fulfilled') {
      const error = removed.status === 'rejected' ? removed.reason : undefined
      assert.ok(fails('FAILED_PRECONDITION', /mounted at/)(error), String(error))
      await mounts.unmount(row)
    } else {
      assert.ok(fails('NOT_FOUND', /not here/)(mounted.reason), String(mounted.reason))
      assert.equal(removed.status, 'fulfilled')
    }
  }),
)

test('A mount is checked again before it is forgotten.', () =>
  inWorld(async ({ db, root, graph, driver }) => {
    const row = await graph.prepare()
    const target = '/proc'
    const there = { node: row.id, target, count: 1, readonly: false }
    db.mounts.insert({ ...there, bootId: 'another boot' })
    const context = { db, root, driver, graph } as unknown as Parameters<typeof checkMounts>[0]
    const [problem] = checkMounts(context)
    assert.match(problem?.message ?? '', /should be mounted at \/proc/)
    db.mounts.delete(row.id, target)
    assert.equal(await problem?.mend?.run(), false, 'nothing is forgotten')
    db.mounts.insert({ ...there, bootId: createMountSpace().id })
    assert.equal(await problem?.mend?.run(), false)
    assert.equal(db.mounts.get(row.id, target)?.count, 1)
    db.mounts.delete(row.id, target)
  }))

test(
  'A mount of an ended namespace is gone, even if another namespace has its number.',
  { skip: NEEDS_ROOT },
  () =>
    inWorld(async ({ db, root, graph, driver, recover }) => {
      const other = spawn('unshare', ['-m', 'sh', '-c', 'echo here && exec sleep 60'], { stdio: 'pipe' })
      const ended = endOf(other)
      try {
        await firstOutput(other)
        const row = await graph.prepare()
        const [boot] = createMountSpace().id.split(' ')
        const bootId = `${boot} ${readlinkSync(`/proc/${other.pid}/ns/mnt`)}`
        const there = { node: row.id, count: 1, readonly: false, bootId }
        db.mounts.insert({ ...there, target: `${root}/mnt/${row.layer}` })
        db.mounts.insert({ ...there, target: '/proc' })
        const space = createMountSpace()
        const strangers = db.mounts.byNode(row.id).map((each) => space.strangerOf(each))
        assert.deepEqual(new Set(strangers), new Set([undefined, other.pid]))
        await recover()
        assert.deepEqual(
          db.mounts.byNode(row.id).map(({ target }) => target),
          ['/proc'],
        )
        db.mounts.delete(row.id, '/proc')
        assert.deepEqual(await driver.list(), [row.layer])
      } finally {
        other.kill('SIGKILL')
        await ended
      }
    }),
)

test('What can not be recovered is a warning, and the rest is recovered.', () =>
  inWorld(async ({ db, root, graph, records, driver, uses }) => {
    // Two layers that a power cut left without rows: the first open after it removes them.
    const [stuck, free] = [1, 2].map((node) => layerIdOf(db.meta.get('lineage') ?? '', node, 0))
    db.meta.set('boot', 'the one before')
    const isJournaled = true
    assert.ok(stuck && free)
    await driver.create(stuck, { writable: false })
    await driver.create(free, { writable: false })
    mkdirSync(`${root}/mnt/a/b`, { recursive: true })
    mkdirSync(`${root}/mnt/z`)
    const warnings: string[] = []
    const busy = {
      ...driver,
      async remove(id: typeof stuck) {
        if (id === stuck) throw new VarveError('UNAVAILABLE', 'plain: remove layer stuck: EBUSY')
        await driver.remove(id)
      },
    }
    await recover({
      db,
      root,
      graph,
      records,
      isJournaled,
      uses,
      driver: busy,
      warn: (message) => warnings.push(message),
    })
    assert.deepEqual([await driver.list(), readdirSync(`${root}/mnt`)], [[stuck], ['a']])
    assert.equal(warnings.filter((each) => /^recovery: .*(EBUSY|ENOTEMPTY).*next start/.test(each)).length, 2)
    await driver.remove(stuck)
    rmSync(`${root}/mnt/a`, { recursive: true })

    const broken = {
      ...db.mounts,
      all: () => db.sql.all<Record<never, never>, never>('SELECT * FROM gone')({}),
    }
    await assert.rejects(
      recover({
        db: { ...db, mounts: broken },
        root,
        graph,
        records,
        isJournaled,
        uses,
        driver,
        warn: assert.fail,
      }),
      /no such table: gone/,
    )
  }))

for (const driver of ['overlay', 'vfs']) {
  const onStore = (title: string, body: (varve: Varve, work: string) => Promise<void>): void => {
    test(`${driver}: ${title}`, { skip: NEEDS_ROOT }, async () => {
      await withVarve(driver, async (varve, work) => {
        await addWork(varve, work)
        await body(varve, work)
      })
    })
  }

  onStore(
    'a layer with open files stays mounted, and is not committed',
    async ({ root, varve, attempt }, work) => {
      const target = join(work, 'target')
      mkdirSync(target)
      for (const [args, place] of [
        [['work'], undefined],
        [['work', target], target],
      ] as const) {
        const printed = (await varve('mount', ...args)).trim()
        assert.equal(printed, place ?? printed)
        const file = openSync(join(printed, 'etc/late'), 'w')
        try {
          const refused = await attempt(['umount', ...args])
          assert.equal(refused.status, 5, refused.stderr)
          assert.match(refused.stderr, /files are still open there/)
          assert.equal((await attempt(['umount', ...args])).status, 5, 'nor the second time')
          assert.equal((await attempt(['commit', 'work'])).status, 5)
          writeSync(file, 'late')
        } finally {
          closeSync(file)
        }
        await varve('umount', ...args)
        assert.deepEqual(readdirSync(join(root, 'mnt')), [])
        assert.match((await attempt(['umount', ...args])).stderr, /is not mounted/)
      }
      await varve('commit', 'work')
      assert.equal(await varve('cat', 'work', '/etc/late'), 'late')
    },
  )

  onStore('open files do not prevent the forced removal of a layer', async ({ root, varve, attempt }) => {
    const place = (await varve('mount', 'work')).trim()
    const file = openSync(join(place, 'etc/late'), 'w')
    try {
      const removed = await attempt(['rm', '--force', 'work'])
      assert.equal(removed.status, 0, removed.stderr)
      assert.deepEqual(readdirSync(join(root, 'mnt')), [])
    } finally {
      closeSync(file)
    }
  })

  onStore('a mount in another namespace does not count as one in this', async ({ root, varve, attempt }) => {
    const script = `"$@" mount work && echo done && exec sleep 60`
    const command = [process.execPath, CLI, '--root', root, '--driver', driver]
    const other = spawn('unshare', ['-m', 'sh', '-c', script, 'sh', ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = endOf(other)
    try {
      await new Promise<void>((resolve, reject) => {
        other.stdout.on('data', (chunk: Buffer) => chunk.toString().includes('done') && resolve())
        ended.then((why) => reject(new Error(`no mount there: ${why}`)))
      })
      for (const args of [
        ['mount', 'work'],
        ['umount', 'work'],
        ['rm', '--force', 'work'],
      ]) {
        const refused = await attempt(args)
        assert.equal(refused.status, 5, `${args}: ${refused.stdout}${refused.stderr}`)
        assert.match(refused.stderr, new RegExp(`another mount namespace \\(pid ${other.pid}\\)`))
      }
    } finally {
      other.kill('SIGKILL')
      await ended
    }
    const place = (await varve('mount', 'work')).trim()
    assert.equal(readFileSync(join(place, 'etc/release'), 'utf8'), 'small 2\n')
    await varve('umount', 'work')
  })

  onStore('a copy of the mount in another namespace', async ({ root, varve, attempt }) => {
    const place = (await varve('mount', 'work')).trim()
    const other = openNamespace()
    try {
      await other.say(`cd ${place}; exec 3>held`)
      const refused = await attempt(['umount', 'work'])
      if (driver === 'overlay') {
        assert.equal(refused.status, 5, refused.stderr)
        assert.match(refused.stderr, /files are still open/)
        writeFileSync(join(place, 'writable-yet'), '')
        await other.say('echo kept >&3; exec 3>&-')
        await varve('umount', 'work')
      } else assert.equal(refused.status, 0, refused.stderr)
      assert.deepEqual(readdirSync(join(root, 'mnt')), [])
      if (driver === 'vfs') {
        const busy = await attempt(['commit', 'work'])
        assert.deepEqual([busy.status, /held.* open for writing/.test(busy.stderr)], [5, true], busy.stderr)
        await other.say('exec 3>&-')
        assert.match((await attempt(['commit', 'work'])).stderr, /working directory of process \d+ is in it/)
        await other.say('cd /')
      }
      await varve('commit', 'work')
      if (driver === 'overlay') {
        assert.match(await other.say('echo late > late || echo refused'), /Read-only file system.*refused/s)
        assert.equal(await varve('cat', 'work', 'held'), 'kept\n')
      }
    } finally {
      await other.end()
    }
  })

  onStore('a mount that fails leaves nothing', async ({ root, varve, attempt }) => {
    const failed = await attempt(['mount', 'work'], { VARVE_FAULT: 'EIO:move_mount:1' })
    assert.notEqual(failed.status, 0)
    assert.match(failed.stderr, /EIO/)
    assert.deepEqual(readdirSync(join(root, 'mnt')), [])
    assert.ok(existsSync(join((await varve('mount', 'work')).trim(), 'etc/release')))
    await varve('umount', 'work')
  })

  onStore('a lock that another process holds for a moment does no harm', async ({ varve, attempt }) => {
    for (const call of ['flock', 'fcntl']) {
      let n = 1
      const create = (errno: string) =>
        attempt(['create', '--parent', SMALL_NAME, '--id', `n${n}`], { VARVE_FAULT: `${errno}:${call}:${n}` })
      // Another error shows whether there is an nth call.
      for (; (await create('EIO')).status !== 0; n++) {
        const made = await create('EAGAIN')
        assert.equal(made.status, 0, `${call} ${n}: ${made.stderr}`)
        await varve('rm', `n${n}`)
      }
      assert.ok(n > 1, `no ${call}`)
      await varve('rm', `n${n}`)
    }
  })

  test(`${driver}: a root may have any name, or be a symlink`, { skip: NEEDS_ROOT }, async () => {
    await withVarve(driver, async (_, work) => {
      const odd = join(work, 'ba\\ck sp ä\nx')
      mkdirSync(odd, { mode: 0o700 })
      symlinkSync(odd, join(work, 'link'))
      for (const root of [odd, join(work, 'link')]) {
        const varve = varveAt(root, driver)
        if (root === odd) await addWork(varve, work)
        const target = join(work, 'target ä\n')
        mkdirSync(target, { recursive: true })
        for (const args of [['work'], ['work', target]]) {
          const printed = await varve.varve('mount', ...args)
          const place = args[1] ?? join(odd, 'mnt', ...readdirSync(join(root, 'mnt')))
          assert.equal(printed, `${place.replaceAll('\n', '\\x0a')}\n`) // --json prints it unchanged
          assert.match((await varve.attempt(['mount', 'work', join(root, 'tmp')])).stderr, /would cover/)
          assert.equal(readFileSync(join(place, 'etc/release'), 'utf8'), 'small 2\n')
          const checked = await varve.attempt(['check'])
          assert.equal(checked.status, 0, checked.stdout + checked.stderr)
          assert.equal(checked.stderr.includes('forgotten'), false, checked.stderr)
          await varve.varve('umount', ...args)
          assert.deepEqual(readdirSync(join(root, 'mnt')), [])
        }
      }
    })
  })
}

test('A store with a stuck mount point opens, and check reports it.', async () => {
  await withVarve('vfs', async ({ root, attempt }) => {
    assert.equal((await attempt(['layers'])).status, 0)
    mkdirSync(join(root, 'mnt/foo'))
    writeFileSync(join(root, 'mnt/foo/file'), '')
    assert.equal((await attempt(['layers'])).status, 0)
    const checked = await attempt(['check', '--repair'])
    assert.match(checked.stdout, /mount point without a known mount.*ENOTEMPTY/)
    unlinkSync(join(root, 'mnt/foo/file'))
    assert.equal((await attempt(['layers'])).status, 0)
    assert.deepEqual(readdirSync(join(root, 'mnt')), [])
  })
})

/** A writable layer `work` on an image. */
async function addWork({ varve }: Varve, folder: string): Promise<void> {
  const image = join(folder, 'small.tar')
  await writeSmallImage(image)
  await varve('import', image)
  await varve('create', '--parent', SMALL_NAME, '--id', 'work')
}
