/** The whole command on both drivers: what people do with it, and its output. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readImages, sha256File } from '../support/archive.js'
import { CLI, type Varve, withVarve } from '../support/varve.js'
import { digestOfBytes, dockerContent, imageOf, tarOf } from '../unit/formats/build.js'

const BASE = tarOf({
  'bin/': '',
  'bin/bash': '->sh',
  'bin/sh': Buffer.from('\x7fELF\0binary', 'latin1'),
  'etc/': '',
  'etc/hosts': '127.0.0.1 localhost\n',
  'etc/old': 'old\n',
  'var/': '',
  'var/a': 'a',
  'var/b': '=>var/a',
})
const TOP = tarOf({
  'etc/': '',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
  'etc/.wh.old': '',
  'var/': '',
  'var/.wh..wh..opq': '',
  'var/c': 'c\n',
})
const APP = imageOf([BASE, TOP])
const ID = digestOfBytes(APP.config)

async function withApp(driver: string, use: (varve: Varve, work: string) => Promise<void>): Promise<void> {
  await withVarve(driver, async (varve, work) => {
    writeFileSync(join(work, 'app.tar'), tarOf(dockerContent([{ ...APP, tags: ['app:1'] }])))
    const printed = await varve.varve('import', join(work, 'app.tar'))
    assert.equal(printed, `app:1  ${ID}  (2 layers, all new)\n`)
    await use(varve, work)
  })
}

for (const driver of ['overlay', 'vfs']) {
  test(`${driver}: an image is listed, drawn, inspected and read`, async () => {
    await withApp(driver, async ({ varve, json }) => {
      assert.match(
        await varve('images'),
        /^NAME .*\napp:1 +[0-9a-f]{12} +linux\/amd64 +2 +[\d.]+ KiB +\d+ years? ago\n$/,
      )
      assert.equal(await varve('images', '--quiet'), `${ID}\n`)
      const [listed] = await json<{ id: string; names: string[]; diffIds: string[] }>('images')
      assert.deepEqual([listed?.id, listed?.names], [ID, ['app:1']])
      assert.deepEqual(listed?.diffIds, [BASE, TOP].map(digestOfBytes))

      const layers = await json<{ chainId: string; diffId: string; entries: number; tarSize: number }>(
        'layers',
      )
      assert.deepEqual(
        layers.map(({ diffId, entries, tarSize }) => [diffId, entries, tarSize]),
        [BASE, TOP].map((tar, i) => [digestOfBytes(tar), [9, 6][i], tar.length]),
      )
      const chains = layers.map(({ chainId }) => chainId.slice(7, 19))
      const [base, top] = chains
      const tree = (await varve('tree')).split('\n')
      assert.match(tree[0] ?? '', new RegExp(`^[●*] ${base} `))
      assert.match(tree[1] ?? '', new RegExp(`^[●*] ${top} .*  app:1$`))

      const inspected = JSON.parse(await varve('inspect', 'app:1')) as { kind: string; config: unknown }
      assert.equal(inspected.kind, 'image')
      assert.deepEqual(inspected.config, JSON.parse(APP.config.toString()))
      const layer = JSON.parse(await varve('inspect', `${ID.slice(7, 15)}#0`)) as { diffId: string }
      assert.equal(layer.diffId, digestOfBytes(BASE))

      assert.equal(
        await varve('ls', 'app:1', '-R', '--quiet'),
        '/bin\n/bin/bash\n/bin/sh\n/etc\n/etc/hosts\n/var\n/var/c\n',
      )
      const own = await varve('ls', 'app:1#1', '-R')
      assert.match(own, /^w--------- .* \/etc\/old {2}\(whiteout/m)
      assert.match(own, /^o--------- .* \/var {2}\(opaque/m)
      assert.match(
        await varve('ls', 'app:1#0', '/var'),
        /^-rw-r--r-- 0:0 .* b {2}\(hard link to \/var\/a\)$/m,
      )
      assert.match(await varve('ls', 'app:1', 'bin'), /^lrwxrwxrwx .* bash -> sh$/m)
      const [hosts] = await json<Record<string, unknown>>('ls', 'app:1', 'etc')
      assert.deepEqual([hosts?.path, hosts?.type, hosts?.mode], ['/etc/hosts', 'file', '0644'])
      assert.equal(hosts?.mtime, '1970-01-01T00:00:00.000000000Z')

      assert.equal(await varve('cat', 'app:1', '/etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
      assert.equal(await varve('cat', 'app:1#0', 'etc/../etc/hosts'), '127.0.0.1 localhost\n')
    })
  })

  test(`${driver}: a layer's changes are printed as lines, JSON, sizes, a patch and a tar`, async () => {
    await withApp(driver, async (store, work) => {
      const { varve, json } = store
      assert.equal(await varve('diff', 'app:1#1'), 'C /etc/hosts\nD /etc/old\nD /var/a\nD /var/b\nA /var/c\n')
      assert.equal(
        (await varve('diff', 'app:1#1', '--json')).split('\n')[0],
        '{"path":"/etc/hosts","kind":"modify"}',
      )
      assert.equal(await varve('diff', 'app:1#1', 'app:1'), '')
      assert.equal(
        await varve('diff', 'app:1', 'app:1#0'),
        'C /etc/hosts\nA /etc/old\nA /var/a\nA /var/b\nD /var/c\n',
      )
      assert.match(
        await varve('diff', 'app:1#1', '--stat'),
        /^ \/etc\/hosts \| \+14 B\n[\s\S]*\n 5 paths changed: 1 added, 1 modified, 3 deleted; /,
      )
      const stats = await json<{ path?: string; total?: { added: number } }>('diff', 'app:1#1', '--stat')
      assert.equal(stats.at(-1)?.total?.added, 1)
      assert.match(
        await varve('diff', 'app:1#1', '--content'),
        /^--- a\/etc\/hosts\n\+\+\+ b\/etc\/hosts\n@@ -1 \+1,2 @@\n 127.0.0.1 localhost\n\+::1 localhost\n/m,
      )
      assert.match(
        await varve('diff', 'app:1', '--content'),
        /^Binary files \/dev\/null and b\/bin\/sh differ$/m,
      )
      await store.toFile(join(work, 'delta.tar'), 'diff', 'app:1#0', 'app:1', '--tar')
      const chain = await varve('import', '--layer', join(work, 'delta.tar'), '--parent', 'app:1#0')
      assert.match(chain, /^sha256:[0-9a-f]{64}\n$/)
      assert.equal(await varve('diff', 'app:1', chain.trim()), '')
    })
  })

  test(`${driver}: a writable layer is created, mounted, changed, listed, committed and removed`, async () => {
    await withApp(driver, async ({ varve, attempt }) => {
      assert.equal(await varve('create', '--parent', 'app:1', '--id', 'work'), 'work\n')
      const path = (await varve('mount', 'work')).trim()
      try {
        assert.equal((await varve('mount', 'work')).trim(), path)
        writeFileSync(join(path, 'new'), 'hello\n')
        rmSync(join(path, 'etc/hosts'))
        assert.equal(await varve('diff', 'work'), 'C /etc\nD /etc/hosts\nA /new\n')
        assert.match(await varve('tree'), /[○o] work .*writable, mounted at \//)
        const refused = await attempt(['rm', 'app:1'])
        assert.equal(refused.status, 5)
        assert.match(refused.stderr, /^varve: .*work/)
        await varve('umount', 'work')
        assert.ok(existsSync(join(path, 'new')))
      } finally {
        await varve('umount', 'work')
      }
      assert.ok(!existsSync(join(path, 'new')))
      assert.equal(await varve('check', '--data', 'work', 'app:1'), 'all is well\n')
      assert.match(await varve('commit', 'work', '--name', 'app:2'), /^app:2 {2}sha256:[0-9a-f]{64}\n$/)
      assert.equal(await varve('cat', 'app:2', 'new'), 'hello\n')
      assert.equal(await varve('diff', 'app:1', 'app:2'), 'C /etc\nD /etc/hosts\nA /new\n')
      await varve('tag', 'app:2', 'other:3')
      assert.equal(await varve('rm', 'app:2'), 'app:2\n')
      await varve('rm', 'other:3', 'app:1')
      await varve('prune', '--all')
      assert.equal(await varve('images', '--quiet'), '')
      assert.equal(await varve('layers', '--quiet'), '')
      assert.equal(await varve('check'), 'all is well\n')
    })
  })

  test(`${driver}: an imported image is exported as the same bytes, in every format, to a file, a folder or a pipe`, async () => {
    await withApp(driver, async (store, work) => {
      const exports: readonly (readonly [name: string, args: readonly string[]])[] = [
        ['docker.tar', []],
        ['oci.tar', ['--format', 'oci-archive', '--compress', 'zstd']],
        ['layout', ['--format', 'oci-layout', '--compress', 'gzip']],
      ]
      for (const [name, args] of exports) {
        await store.varve('export', 'app:1', '-o', join(work, name), ...args)
        const [image] = readImages(join(work, name), join(work, `read-${name}`))
        assert.deepEqual(image?.layers, [BASE, TOP].map(digestOfBytes), name)
        assert.equal(`sha256:${image?.id}`, ID)
      }
      await store.toFile(join(work, 'piped.tar'), 'export', 'app:1')
      assert.equal(sha256File(join(work, 'piped.tar')), sha256File(join(work, 'docker.tar')))
      await store.toFile(join(work, 'layer.tar'), 'export', '--layer', 'app:1#1', '-o', '-')
      assert.deepEqual(readFileSync(join(work, 'layer.tar')), TOP)
      await store.varve('export', '--layer', 'app:1#0', '-o', join(work, 'layer.tar'))
      assert.deepEqual(readFileSync(join(work, 'layer.tar')), BASE)
      assert.deepEqual(
        readdirSync(work).filter((name) => name.includes('partial')),
        [],
      )
    })
  })
}

test('an image is imported from a pipe, under a name', async () => {
  await withVarve('vfs', async ({ root, varve }) => {
    const input = tarOf(dockerContent([{ ...APP, tags: null }]))
    const args = [CLI, '--root', root, '--driver', 'vfs', 'import', '-', '--name', 'piped:1']
    const { status, stdout } = spawnSync(process.execPath, args, { input, encoding: 'utf8' })
    assert.equal(status, 0)
    assert.equal(stdout, `piped:1  ${ID}  (2 layers, all new)\n`)
    assert.equal(await varve('images', '-q'), `${ID}\n`)
  })
})

test('driver ls lists all six verdicts without a data root, and does not create one', async () => {
  await withVarve('vfs', async ({ root }) => {
    const elsewhere = join(root, '../elsewhere')
    const { stdout } = spawnSync(process.execPath, [CLI, '--root', elsewhere, 'driver', 'ls', '--json'], {
      encoding: 'utf8',
    })
    const drivers = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(
      drivers.map(({ name }) => name),
      ['aufs', 'btrfs', 'zfs', 'devicemapper', 'overlay', 'vfs'],
    )
    for (const { verdict, reason } of drivers) assert.ok(verdict === 'supported' || reason !== '')
    assert.ok(!existsSync(elsewhere))
    assert.deepEqual(readdirSync(join(root, '..')), ['root'])
  })
})

test('a reader that goes away ends the command quietly', async () => {
  await withVarve('vfs', async ({ root, varve }, work) => {
    const files = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`file-with-a-long-name-${i}`, '']),
    )
    writeFileSync(join(work, 'many.tar'), tarOf(files))
    const chain = (await varve('import', '--layer', join(work, 'many.tar'))).trim()
    const line = `"$@" ls ${chain} -R | head -c 1; echo "\${PIPESTATUS[0]}"`
    const command = [process.execPath, CLI, '--root', root, '--driver', 'vfs']
    for (const how of ['ls', 'export --layer']) {
      const { stdout, stderr } = spawnSync(
        'bash',
        ['-c', line.replace(' ls ', ` ${how} `).replace('-R', how === 'ls' ? '-R' : ''), 'bash', ...command],
        {
          encoding: 'latin1',
        },
      )
      assert.equal(stderr, '')
      assert.ok(stdout.endsWith('141\n'), how)
    }
  })
})

test('Ctrl-C ends an import cleanly and leaves nothing of it', async () => {
  await withVarve('vfs', async ({ root, varve }) => {
    const args = [CLI, '--root', root, '--driver', 'vfs', 'import', '--layer', '-']
    for (const [signal, status] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
      let stderr = ''
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString()
      })
      // Sends half a layer and then nothing, so that the command is interrupted while it waits.
      child.stdin.write(BASE.subarray(0, 2000))
      await until(() => existsSync(join(root, 'varve.db')) && readdirSync(join(root, 'tmp')).length > 0)
      child.kill(signal)
      const code = await new Promise((resolve) => child.once('close', resolve))
      assert.equal(code, status, stderr)
      assert.equal(stderr, 'varve: interrupted\n')
      assert.equal(await varve('layers', '-q'), '')
      assert.deepEqual(readdirSync(join(root, 'tmp')), [])
    }
  })
})

test('Ctrl-C ends the wait for a fifo without a writer', async () => {
  await withVarve('vfs', async ({ root }, work) => {
    const fifo = join(work, 'fifo')
    execFileSync('mkfifo', [fifo])
    const args = [CLI, '--root', root, '--driver', 'vfs', 'import', '--layer', fifo]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const closed = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)))
    await until(() => existsSync(join(root, 'tmp')) && readdirSync(join(root, 'tmp')).length > 0)
    child.kill('SIGINT')
    // The signal itself if the command was waiting, the status if it was not yet; a shell sees the same.
    const end = await closed
    assert.ok(end === 'SIGINT' || end === 130, String(end))
  })
})

test('on a terminal binary data is refused, and progress is shown', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0)
    return t.skip('there is no script(1), which provides a terminal')
  await withApp('vfs', async ({ root }, work) => {
    const terminal = (line: string, input = 'true') => {
      const command = `stty columns 120; ${input} | ${process.execPath} ${CLI} --root ${root} ${line}`
      return spawnSync('script', ['-qec', command, '/dev/null'], { encoding: 'utf8' })
    }
    const refused = terminal('export app:1')
    assert.equal(refused.status, 2)
    assert.match(
      refused.stdout,
      /varve: export: would write binary data to the terminal: name a file with -o/,
    )
    const big = join(work, 'big.tar')
    writeFileSync(big, tarOf({ big: Buffer.alloc(8 * 1024 * 1024, 'varve') }))
    // Slow enough for a progress line on any machine.
    const slowly = `{ head -c 4194304 ${big}; sleep 1.5; tail -c +4194305 ${big}; }`
    const shown = terminal('import --layer -', slowly)
    assert.equal(shown.status, 0)
    assert.match(shown.stdout, /read standard input {2}[\d.]+ MiB {2}[\d.]+ [KM]iB\/s/)
    assert.match(shown.stdout, /import layer {2}\[=*>? *\] +\d+% {2}[\d.]+ MiB \/ 8\.0 MiB/)
    const quiet = terminal('--quiet import --layer -', slowly)
    assert.match(quiet.stdout, /^sha256:[0-9a-f]{64}\r\n$/)
  })
})

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i > 600) throw new Error('not within 30 seconds')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
