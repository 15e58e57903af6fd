/** The bookkeeping of an extraction is bounded, and what it has forgotten costs nothing. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isCode } from '../../../core/errors.js'
import { createPayloads } from '../../../core/extract/replaced-payloads.js'
import { createUnlisted } from '../../../core/extract/unlisted.js'
import { createWhiteouts } from '../../../core/extract/whiteouts.js'
import { type Budget, createBudget, createPathMap, createPathSet } from '../../../core/tree/budget.js'
import { createDirectoryTimes } from '../../../core/tree/directory-times.js'

const MOST = 1 << 20

/** Everything that grows with a tar: adds the n-th one, each of which takes at least a hundred bytes. */
const GROWING: Readonly<Record<string, (budget: Budget) => (n: number) => void>> = {
  'paths of a set': (budget) => {
    const paths = createPathSet(budget)
    return (n) => paths.set(`path/${n}`, true)
  },
  'values of a map': (budget) => {
    const lists = createPathMap<string>(budget, (value) => value.length)
    return (n) => lists.set(`path/${n}`, 'x'.repeat(100))
  },
  whiteouts: (budget) => {
    const hiding = createWhiteouts({} as never, 'list', budget)
    return (n) => hiding.hide({ path: 'd' } as never, String(n))
  },
  'opaque directories': (budget) => {
    const hiding = createWhiteouts({} as never, 'list', budget)
    return (n) => hiding.makeOpaque({ path: `d${n}` } as never)
  },
  'implied paths': (budget) => {
    const unlisted = createUnlisted(budget)
    return (n) => unlisted.add(`path/${n}`)
  },
  'forgotten directories': (budget) => {
    const times = createDirectoryTimes({ budget })
    return (n) => times.forget(`${n}/path`)
  },
}

for (const [title, grow] of Object.entries(GROWING)) {
  test(`${title} end with RESOURCE_EXHAUSTED, and not before`, () => {
    const more = grow(createBudget(MOST))
    for (let n = 0; n < 500; n++) more(n)
    assert.throws(
      () => {
        for (let n = 500; n < 10_000; n++) more(n)
      },
      (error) => isCode(error, 'RESOURCE_EXHAUSTED') && /more than 1 MiB of bookkeeping/.test(String(error)),
    )
  })
}

test('payloads kept aside and sparse maps end with RESOURCE_EXHAUSTED, and their files are removed', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'varve-budget-'))
  const payloads = createPayloads(scratch, createBudget(100_000))
  try {
    assert.throws(
      () => payloads.sparse(1, Array(10_000).fill({ offset: 0, length: 1 })),
      (error) => isCode(error, 'RESOURCE_EXHAUSTED'),
    )
  } finally {
    payloads.close()
  }
  const others = createPayloads(scratch, createBudget(100_000))
  try {
    const keep = () => {
      const writer = others.start()
      writer.write(Buffer.from('x'))
      writer.end()
    }
    assert.throws(
      () => {
        for (let n = 0; n < 300; n++) keep()
      },
      (error) => isCode(error, 'RESOURCE_EXHAUSTED'),
    )
    assert.ok(readdirSync(scratch).length > 50)
    others.abandon()
    assert.deepEqual(readdirSync(scratch), [])
  } finally {
    others.close()
    rmSync(scratch, { recursive: true, force: true })
  }
})

test('repeated adding and removing costs no more than what is there', () => {
  const budget = createBudget(10_000)
  const paths = createPathMap<string>(budget, (value) => value.length)
  for (let n = 0; n < 10_000; n++) {
    paths.set('a', 'x'.repeat(n % 7))
    paths.set('b', 'x')
    if (n % 2 === 0) paths.delete('a')
    paths.delete('not there')
  }
  assert.deepEqual([...paths.keys()].sort(), ['a', 'b'])
  assert.equal(paths.size, 2)
})
