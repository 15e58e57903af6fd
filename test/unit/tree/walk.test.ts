import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { walk } from '../../../core/tree/walk.js'

/** More than a batch of one directory. */
const MANY = 1500

/** A directory with `d5`, `d5/in` and `d5-`, which sorts between them, and so on; and all paths below it. */
function large(t: TestContext): { readonly root: string; readonly paths: readonly string[] } {
  const root = mkdtempSync(join(tmpdir(), 'varve-walk-'))
  t.after(() => rmSync(root, { recursive: true }))
  const paths: string[] = []
  for (let at = 0; at < MANY; at++) {
    mkdirSync(join(root, `d${at}`))
    for (const path of [`d${at}/in`, `d${at}-`]) writeFileSync(join(root, path), '')
    paths.push(`d${at}`, `d${at}/in`, `d${at}-`)
  }
  return { root, paths }
}

test('a large directory comes in the byte order of whole paths', (t) => {
  const { root, paths } = large(t)
  const found = Array.from(walk(root), ({ path }) => path)
  assert.deepEqual(found, ['', ...[...paths].sort()])
})

test('what goes or turns into something else while it is walked is not entered', (t) => {
  const { root } = large(t)
  const found: string[] = []
  for (const { path } of walk(root)) {
    found.push(path)
    if (found.length > 1) continue
    rmSync(join(root, 'd999'), { recursive: true })
    rmSync(join(root, 'd998'), { recursive: true })
    renameSync(join(root, 'd997-'), join(root, 'd998'))
  }
  const late = found.filter((path) => /^d99[789]/.test(path))
  assert.deepEqual(late, ['d997', 'd997/in', 'd998', 'd998-', 'd999-'])
})
