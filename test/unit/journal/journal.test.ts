/** The journal beside a database: written with short and failed writes, and read when it is damaged. */
import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Journal, openJournal } from '../../../core/journal/journal.js'
import { encodeChange } from '../../../core/journal/line.js'
import { arm } from '../../../core/sys/seam.js'

const change = (id: number) => encodeChange({ table: 'image', row: { id }, isGone: false })
const entry = (generation: number) => ({ generation, covers: 1, uuid: 'u', changes: [change(generation)] })

/** Two lines of a base, of generation 3. */
function begun(t: TestContext): { readonly path: string; readonly journal: Journal } {
  const folder = mkdtempSync(join(tmpdir(), 'varve-journal-'))
  const journal = openJournal(folder)
  t.after(() => {
    journal.close()
    rmSync(folder, { recursive: true })
  })
  journal.begin([1, 2].map((id) => ({ ...entry(3), changes: [change(id)], isBase: true })))
  return { path: join(folder, 'journal'), journal }
}

const told = (journal: Journal) => {
  const { entries, isComplete } = journal.read()
  return [isComplete, ...entries.map(({ generation }) => generation)]
}

test('a short write is continued', (t) => {
  const { journal } = begun(t)
  arm('short:write:1')
  journal.append(entry(4))
  arm(undefined)
  journal.append(entry(5))
  assert.deepEqual(told(journal), [true, 3, 3, 4, 5])
})

test('a line that a full disk refused is written with the next one', (t) => {
  const { journal } = begun(t)
  arm('ENOSPC:write:1')
  journal.append(entry(4))
  arm(undefined)
  assert.deepEqual(told(journal), [true, 3, 3])
  journal.append(entry(5))
  assert.deepEqual(told(journal), [true, 3, 3, 4, 5])
})

test('half a line is harmless if a later one covers it, and a gap if none does', (t) => {
  const { path, journal } = begun(t)
  journal.append(entry(4))
  appendFileSync(path, '0123456789abcdef [5,1,"u"')
  appendFileSync(path, '\n')
  journal.append(entry(5))
  assert.deepEqual(told(journal), [true, 3, 3, 4, 5])
  journal.append(entry(7))
  assert.deepEqual(told(journal), [false, 3, 3, 4, 5, 7])
})

test('a flipped bit is found in the header, in the base and behind it', (t) => {
  const { path, journal } = begun(t)
  for (const generation of [4, 5]) journal.append(entry(generation))
  const whole = readFileSync(path)
  const lines = whole.toString('latin1').split('\n')
  const starts = lines.map((_, at) => lines.slice(0, at).join('\n').length + (at === 0 ? 0 : 1))
  for (const at of [0, 1, 2, 3]) {
    const damaged = Buffer.from(whole)
    const place = (starts[at] ?? 0) + 20
    damaged[place] = (damaged[place] ?? 0) ^ 0x80
    writeFileSync(path, damaged)
    assert.equal(journal.read().isComplete, false, `line ${at}`)
  }
  writeFileSync(path, whole)
  assert.equal(journal.read().isComplete, true)
})
