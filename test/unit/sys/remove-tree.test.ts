import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { removeTree } from '../../../core/sys/files.js'
import { attach, unmount } from '../../../core/sys/mount/mount.js'
import { errno, scratch } from './scratch.js'

test('files, directories, links and missing paths are removed; the targets of links stay', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/outside`)
  fs.writeFileSync(`${root}/outside/keep`, '')
  fs.mkdirSync(`${root}/tree/a/b/c`, { recursive: true })
  fs.writeFileSync(`${root}/tree/a/f`, '')
  fs.writeFileSync(Buffer.from(`${root}/tree/a/\xff\n`, 'latin1'), '')
  fs.symlinkSync('../../outside', `${root}/tree/a/link`)
  fs.symlinkSync('/', `${root}/tree/a/b/root`)
  fs.symlinkSync('outside', `${root}/link`)
  fs.writeFileSync(`${root}/file`, '')
  for (const name of ['tree', 'link', 'file', 'nothing', 'nothing/below', 'file/below'])
    removeTree(`${root}/${name}`)
  assert.deepEqual(fs.readdirSync(root), ['outside'])
  assert.deepEqual(fs.readdirSync(`${root}/outside`), ['keep'])
})

test('a trailing slash means the directory itself; a path that names no entry is refused', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/a/b`, { recursive: true })
  removeTree(`${root}/a/b//`)
  assert.deepEqual(fs.readdirSync(`${root}/a`), [])
  for (const path of [`${root}/a/.`, `${root}/a/..`, '/', '', '.', '..']) {
    assert.throws(() => removeTree(path), errno('EINVAL'))
  }
  assert.equal(fs.existsSync(`${root}/a`), true)
})

test('10,000 levels, far beyond any path, are removed with few open descriptors', (t) => {
  const root = scratch(t)
  // Grows by renaming the tree below a new top, so that no path is ever long.
  fs.mkdirSync(`${root}/top`)
  for (let level = 0; level < 10_000; level++) {
    fs.mkdirSync(`${root}/next`)
    if (level % 1000 === 0) fs.writeFileSync(`${root}/next/file`, '')
    fs.renameSync(`${root}/top`, `${root}/next/${'directory'.repeat(level % 3)}d`)
    fs.renameSync(`${root}/next`, `${root}/top`)
  }
  const before = openFiles()
  removeTree(`${root}/top`)
  assert.deepEqual(fs.readdirSync(root), [])
  assert.equal(openFiles(), before)
})

test('a directory of 20,000 files and 2,000 directories is removed', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/top`)
  fs.writeFileSync(`${root}/file`, '')
  // Hard links to one inode, since separate inodes would only cost time.
  for (let i = 0; i < 20_000; i++) fs.linkSync(`${root}/file`, `${root}/top/f${i}`)
  for (let i = 0; i < 2_000; i++) fs.mkdirSync(`${root}/top/d${i}`)
  removeTree(`${root}/top`)
  assert.equal(fs.existsSync(`${root}/top`), false)
})

test('two processes that remove one tree at once both succeed', async (t) => {
  const root = scratch(t)
  const start = new Int32Array(new SharedArrayBuffer(4))
  const script = `
    const { workerData } = require('node:worker_threads')
    import(${JSON.stringify(new URL('../../../core/sys/files.js', import.meta.url))}).then(({ removeTree }) => {
      Atomics.add(workerData.start, 0, 1)
      while (Atomics.load(workerData.start, 0) % 2 !== 0);
      removeTree(workerData.tree)
    })`
  for (let round = 0; round < 3; round++) {
    const tree = `${root}/${round}`
    // Deeper than the number of descriptors that stay open.
    for (const a of 'abcd') fs.mkdirSync(`${tree}/${a}/${'deep/'.repeat(round * 50)}/x`, { recursive: true })
    for (let i = 0; i < 200; i++) fs.mkdirSync(`${tree}/a/${i}/below`, { recursive: true })
    for (let i = 0; i < 200; i++) fs.writeFileSync(`${tree}/a/${i}/below/file`, '')
    const ends = [0, 1].map(async () => {
      const worker = new Worker(script, { eval: true, workerData: { start, tree } })
      const [code] = await once(worker, 'exit')
      assert.equal(code, 0)
    })
    await Promise.all(ends)
    assert.equal(fs.existsSync(tree), false)
  }
})

test('a mount below is an error, and its content stays', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/precious`)
  fs.writeFileSync(`${root}/precious/file`, '')
  fs.mkdirSync(`${root}/tree/a/merged`, { recursive: true })
  attach([{ type: 'bind', source: `${root}/precious`, options: [] }], `${root}/tree/a/merged`)
  try {
    assert.throws(() => removeTree(`${root}/tree`), errno('EBUSY'))
    assert.throws(() => removeTree(`${root}/tree/a/merged`), errno('EBUSY'))
  } finally {
    unmount(`${root}/tree/a/merged`)
  }
  assert.deepEqual(fs.readdirSync(`${root}/precious`), ['file'])
  removeTree(`${root}/tree`)
})

test('a user other than root removes his own directories whatever their mode, and nobody else’s', (t) => {
  const root = scratch(t)
  fs.chmodSync(root, 0o755)
  fs.mkdirSync(`${root}/home`)
  for (const mode of [0o000, 0o100, 0o200, 0o400, 0o500, 0o600]) {
    fs.mkdirSync(`${root}/home/tree/m${mode}/below/full`, { recursive: true })
    fs.writeFileSync(`${root}/home/tree/m${mode}/file`, '')
    fs.chmodSync(`${root}/home/tree/m${mode}/below`, mode)
    fs.chmodSync(`${root}/home/tree/m${mode}`, mode)
  }
  spawnSync('chown', ['-R', '12345:12345', `${root}/home`])
  fs.mkdirSync(`${root}/root/tree`, { recursive: true })
  const script = `
    process.setgid(12345); process.setuid(12345)
    const { removeTree } = await import(${JSON.stringify(new URL('../../../core/sys/files.js', import.meta.url))})
    removeTree(process.argv[1] + '/home/tree')
    try { removeTree(process.argv[1] + '/root/tree') } catch (error) { console.log(error.code) }`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, root], { encoding: 'utf8' })
  assert.equal(child.stdout.trim(), 'EACCES', child.stderr)
  assert.deepEqual(fs.readdirSync(`${root}/home`), [])
  assert.equal(fs.existsSync(`${root}/root/tree`), true)
})

function openFiles(): number {
  return fs.readdirSync('/proc/self/fd').length
}
