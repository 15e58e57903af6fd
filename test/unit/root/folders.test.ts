import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { openDataRoot, prepareRoot, removeRoot } from '../../../core/root/folders.js'

async function inFolder(work: (root: string, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-root-`)
  try {
    await work(`${folder}/root`, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('An unused root is removed, but not while somebody opens it.', () =>
  inFolder(async (root, folder) => {
    const first = await openDataRoot(root)
    removeRoot(root)
    assert.ok(existsSync(root), 'it is being opened')
    const waiting = openDataRoot(root)
    first.opening.release()
    removeRoot(root)
    assert.deepEqual(readdirSync(folder), [], 'it was removed')
    const second = await waiting
    assert.equal(second.made, true, 'it was created again')
    assert.deepEqual(readdirSync(root).sort(), ['locks', 'mnt', 'tmp'])
    removeRoot(root)
    second.opening.release()
    assert.equal((await openDataRoot(root)).made, false)
  }))

test('A root whose parent is missing, or that is a file, is an error at once.', () =>
  inFolder(async (root) => {
    await assert.rejects(openDataRoot(`${root}/a`), {
      code: 'FAILED_PRECONDITION',
      message: /ENOENT.*make .*root first/,
    })
    await assert.rejects(openDataRoot('/dev/null'), {
      code: 'FAILED_PRECONDITION',
      message: /not a directory/,
    })
  }))

test('A root that is open to others gets mode 0700, with a warning, unless it holds other things.', () =>
  inFolder(async (root) => {
    const warnings: string[] = []
    const prepare = () => prepareRoot(root, (message) => warnings.push(message))
    const modeOf = () => (statSync(root).mode & 0o7777).toString(8)
    mkdirSync(root)
    chmodSync(root, 0o755)
    prepare()
    assert.equal(modeOf(), '700', 'an empty root')
    writeFileSync(`${root}/varve.db`, '')
    chmodSync(root, 0o755)
    prepare()
    prepare()
    assert.equal(modeOf(), '700', 'a root of varve')
    rmSync(`${root}/varve.db`)
    writeFileSync(`${root}/etc`, '')
    chmodSync(root, 0o755)
    prepare()
    assert.equal(modeOf(), '755', 'a root that holds other things')
    assert.deepEqual(
      warnings.map((warning) => warning.slice(`root ${root}: `.length)),
      [
        'its mode was 0755, open to others; it is 0700 now',
        'its mode was 0755, open to others; it is 0700 now',
        'its mode was 0755, open to others; better make it 0700',
      ],
    )
  }))
