import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { openRoot, removeRoot } from '../../../core/root.js'

async function inFolder(work: (root: string, folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-root-`)
  try {
    await work(`${folder}/root`, folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('A root of no use goes, but not from under one who opens it.', () =>
  inFolder(async (root, folder) => {
    const first = await openRoot(root)
    removeRoot(root)
    assert.ok(existsSync(root), 'it is being opened')
    const waiting = openRoot(root)
    first.opening.release()
    removeRoot(root)
    assert.deepEqual(readdirSync(folder), [], 'nobody had it')
    const second = await waiting
    assert.equal(second.made, true, 'it was made anew')
    assert.deepEqual(readdirSync(root).sort(), ['locks', 'mnt', 'tmp'])
    removeRoot(root)
    second.opening.release()
    assert.equal((await openRoot(root)).made, false)
  }))

test('A root whose parent is missing, or that is a file, is told at once.', () =>
  inFolder(async (root) => {
    await assert.rejects(openRoot(`${root}/a`), {
      code: 'FAILED_PRECONDITION',
      message: /ENOENT.*make .*root first/,
    })
    await assert.rejects(openRoot('/dev/null'), { code: 'FAILED_PRECONDITION', message: /not a directory/ })
  }))
