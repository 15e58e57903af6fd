import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { diffLines, type Edit, splitLines, unifiedHunks } from '../../cli/print/line-diff.js'
import { randomRuns } from '../support/seed.js'

const folder = mkdtempSync(join(tmpdir(), 'varve-diff-'))
after(() => rmSync(folder, { recursive: true }))

const text = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', 'c', '', 'long line'), { maxLength: 30 }), fc.boolean())
  .map(([lines, newline]) => lines.join('\n') + (newline ? '\n' : ''))

test('the edits turn the old text into the new one, and are as few as possible', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const edits = diffLines(splitLines(before), splitLines(after))
      assert.equal(side(edits, 'insert'), before)
      assert.equal(side(edits, 'delete'), after)
      const changes = edits.filter((edit) => edit.kind !== 'equal').length
      assert.equal(changes, fewest(splitLines(before), splitLines(after)))
    }),
    randomRuns(300),
  )
})

test('git applies our hunks', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const hunks = unifiedHunks(diffLines(splitLines(before), splitLines(after)))
      if (before === after) return assert.equal(hunks, '')
      const file = join(folder, 'file')
      writeFileSync(file, before)
      const patch = `--- a/file\n+++ b/file\n${hunks}`
      const { status, stderr } = spawnSync('git', ['apply', '-'], {
        input: patch,
        cwd: folder,
        encoding: 'utf8',
      })
      assert.equal(status, 0, `${patch}\n${stderr}`)
      assert.equal(readFileSync(file, 'utf8'), after)
    }),
    randomRuns(40),
  )
})

test('hunks are those of diff -u', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => `${i}\n`)
  const tables: readonly (readonly [before: readonly string[], after: readonly string[]])[] = [
    [numbers(30), numbers(30).toSpliced(3, 1, 'x\n').toSpliced(20, 2)],
    // Two changes seven lines apart are two hunks, six lines apart one.
    [numbers(20), numbers(20).toSpliced(4, 1, 'x\n').toSpliced(12, 1, 'y\n')],
    [numbers(20), numbers(20).toSpliced(4, 1, 'x\n').toSpliced(11, 1, 'y\n')],
    [[], ['a\n']],
    [['a\n'], []],
    [['a'], ['a\n']],
    [numbers(5), [...numbers(5), 'end']],
  ]
  for (const [before, after] of tables) {
    const files = ['before', 'after'].map((name) => join(folder, name))
    writeFileSync(files[0] ?? '', before.join(''))
    writeFileSync(files[1] ?? '', after.join(''))
    const { stdout } = spawnSync('diff', ['-u', ...files], { encoding: 'utf8' })
    assert.equal(unifiedHunks(diffLines(before, after)), stdout.split('\n').slice(2).join('\n'))
  }
})

test('texts that share nothing are all deleted and all inserted, in reasonable time', () => {
  const lines = (word: string) => Array.from({ length: 20_000 }, (_, i) => `${word} ${i}\n`)
  const began = performance.now()
  const edits = diffLines(lines('a'), lines('b'))
  assert.equal(edits.length, 40_000)
  assert.ok(performance.now() - began < 5000)
})

function side(edits: readonly Edit[], without: Edit['kind']): string {
  return edits
    .filter((edit) => edit.kind !== without)
    .map((edit) => edit.line)
    .join('')
}

/** The fewest edits, by the longest common subsequence, computed the slow and simple way. */
function fewest(before: readonly string[], after: readonly string[]): number {
  let row = Array.from({ length: after.length + 1 }, (_, j) => j)
  for (const [i, line] of before.entries()) {
    const next = [i + 1]
    for (const [j, other] of after.entries()) {
      next.push(line === other ? (row[j] ?? 0) : 1 + Math.min(row[j + 1] ?? 0, next[j] ?? 0))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
