/**
 * kill -9 while a writable layer is created, mounted, unmounted and committed, and while an image is removed, before and
 * after every step. Afterwards the operation either happened or did not, and nothing is half-done.
 */
import assert from 'node:assert/strict'
import { appendFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FAULT_POINTS } from '../../core/graph/fault-points.js'
import { SMALL_NAME, writeSmallImage } from '../../fixtures/small.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { type Varve, withVarve } from '../support/varve.js'
import { assertRecovered, type Layer, mounts } from './recovered.js'
import { someOf } from './size.js'

for (const driver of ['overlay', 'vfs']) {
  const triedOf = (operation: string) =>
    driver === 'overlay' ? pointsOf(operation) : someOf(pointsOf(operation))
  const onStore = (title: string, body: (varve: Varve) => Promise<void>): void => {
    test(`${driver}: ${title}`, { skip: NEEDS_ROOT }, async () => {
      await withVarve(driver, async (varve, work) => {
        const image = join(work, 'small.tar')
        await writeSmallImage(image)
        await varve.varve('import', image)
        await body(varve)
      })
    })
  }

  onStore('a create killed at any step made the layer or did not', async (varve) => {
    for (const point of triedOf('prepare')) {
      await killed(varve, point, ['create', '--parent', SMALL_NAME, '--id', 'work'])
      const there = (await assertRecovered(varve)).some(isWork)
      if (point === 'prepare:ready:after') assert.ok(there, point)
      if (!there) await varve.varve('create', '--parent', SMALL_NAME, '--id', 'work')
      assert.equal(await varve.varve('cat', 'work', '/etc/release'), 'small 2\n')
      await varve.varve('rm', 'work')
    }
  })

  onStore('a mount killed at any step can be undone or done again', async (varve) => {
    await varve.varve('create', '--parent', SMALL_NAME, '--id', 'work')
    for (const point of triedOf('mount')) {
      await killed(varve, point, ['mount', 'work'])
      await assertRecovered(varve)
      const place = (await varve.varve('mount', 'work')).trim()
      assert.ok(existsSync(join(place, 'etc/release')), point)
      await unmountAll(varve)
      await assertRecovered(varve)
    }
  })

  onStore('an unmount killed at any step is undone or done', async (varve) => {
    await varve.varve('create', '--parent', SMALL_NAME, '--id', 'work')
    for (const point of triedOf('unmount')) {
      await varve.varve('mount', 'work')
      await killed(varve, point, ['umount', 'work'])
      await assertRecovered(varve)
      await unmountAll(varve)
      await assertRecovered(varve)
    }
  })

  onStore(
    'a commit killed at any step keeps what was written, and the layer is writable or committed',
    async (varve) => {
      for (const [i, point] of triedOf('commit').entries()) {
        const text = `written before ${point}\n`
        const name = `committed:${i}`
        await varve.varve('create', '--parent', SMALL_NAME, '--id', 'work')
        writeFileSync(join((await varve.varve('mount', 'work')).trim(), 'etc/written'), text)
        await varve.varve('umount', 'work')
        await killed(varve, point, ['commit', 'work', '--name', name])
        const layers = await assertRecovered(varve)
        const images = await varve.json<{ names: string[] }>('images')
        const done = images.some(({ names }) => names.includes(name))
        if (point === 'commit:ready:after') assert.ok(done, point)
        assert.equal(layers.find(isWork)?.kind, done ? 'committed' : 'active', point)
        if (!done) {
          appendFileSync(join((await varve.varve('mount', 'work')).trim(), 'etc/written'), 'more\n')
          await varve.varve('umount', 'work')
        }
        // In both cases it may be done again.
        await varve.varve('commit', 'work', '--name', name)
        const wanted = done ? text : `${text}more\n`
        assert.equal(await varve.varve('cat', name, '/etc/written'), wanted, point)
        // The writable layer's id now names the committed layer, which may therefore outlive its image.
        for (const each of [name, 'work']) await varve.attempt(['rm', each])
        await varve.varve('prune')
        assert.ok(!(await assertRecovered(varve)).some(isWork), point)
      }
    },
  )

  onStore('if the disk refuses the log, the call fails, and it either happened or did not', async (varve) => {
    const calls = [
      { call: ['create', '--parent', SMALL_NAME, '--id', 'work'], errno: 'EIO', status: 6 },
      { call: ['commit', 'work', '--name', 'committed:1'], errno: 'ENOSPC', status: 8 },
      { call: ['rm', 'committed:1'], errno: 'EIO', status: 6 },
    ]
    for (const { call, errno, status } of calls) {
      const failed = await varve.attempt(call, { VARVE_FAULT: `${errno}:fdatasync:1` })
      assert.equal(failed.status, status, `${call}: ${failed.stderr}`)
      assert.match(failed.stderr, /database .*: what was just written may not be on disk: .*the disk/)
      await assertRecovered(varve)
      // It can be done again, or is already done.
      const again = await varve.attempt(call)
      assert.ok([0, 3, 4].includes(Number(again.status)), `${call}: ${again.stderr}`)
    }
    await varve.attempt(['rm', 'work'])
    await varve.varve('prune')
    assert.ok(!(await assertRecovered(varve)).some(isWork))
  })

  onStore('a remove killed at any step can be finished', async (varve) => {
    const image = join(varve.root, '../small.tar')
    for (const point of triedOf('remove')) {
      await killed(varve, point, ['rm', SMALL_NAME])
      await assertRecovered(varve)
      const images = await varve.json<{ names: string[] }>('images')
      if (images.length > 0) {
        assert.equal(await varve.varve('cat', SMALL_NAME, '/etc/release'), 'small 2\n', point)
        await varve.varve('rm', SMALL_NAME)
      }
      await varve.varve('prune')
      assert.deepEqual(await assertRecovered(varve), [], point)
      await varve.varve('import', image)
    }
  })
}

function isWork({ names }: Layer): boolean {
  return names.includes('work')
}

function pointsOf(operation: string): readonly string[] {
  const points = FAULT_POINTS.filter((point) => point.startsWith(`${operation}:`))
  assert.ok(points.length > 1, operation)
  return points
}

async function killed(varve: Varve, point: string, args: readonly string[]): Promise<void> {
  const ran = await varve.attempt(args, { VARVE_FAULT: `kill:${point}` })
  assert.equal(ran.status, 'SIGKILL', `${point} was not reached: ${ran.stdout}${ran.stderr}`)
}

/** As often as it counts as mounted. */
async function unmountAll(varve: Varve): Promise<void> {
  for (let i = 0; i < 5 && mounts(varve.root).length > 0; i++) await varve.attempt(['umount', 'work'])
  assert.deepEqual(mounts(varve.root), [])
}
