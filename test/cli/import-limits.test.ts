/** The size of a layer is limited, whatever a small archive claims; options raise the limits. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStore } from '../../core/store.js'
import { drivers } from '../../drivers/all.js'
import { END, file as entry, header, pax } from '../support/tar-bytes.js'
import { withVarve } from '../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../unit/formats/build.js'

const plain = Buffer.concat([entry('a', 'x'.repeat(600)), entry('b', 'y'), END])
const deep = Buffer.concat([entry(`${'d/'.repeat(40)}f`, 'x'), END])
/** A file of 1 TiB that is a hole except for its last byte. */
const holes = Buffer.concat([
  pax([
    ['GNU.sparse.major', '0'],
    ['GNU.sparse.minor', '1'],
    ['GNU.sparse.size', String(2 ** 40)],
    ['GNU.sparse.map', `${2 ** 40 - 1},1`],
  ]),
  header({ name: 'holes', size: 1 }),
  Buffer.from('x'.padEnd(512, '\0')),
  END,
])

interface Limits {
  readonly maxSize?: number
  readonly maxEntries?: number
}

const CASES: readonly (readonly [tar: Buffer, limits: Limits, refusal: RegExp | undefined])[] = [
  [plain, { maxSize: plain.length }, undefined],
  [plain, { maxSize: plain.length - 1 }, /a tar of more than 3583 bytes.*--max-size/],
  [plain, { maxEntries: 2 }, undefined],
  [plain, { maxEntries: 1 }, /more than 1 entries.*--max-entries/],
  [deep, { maxEntries: 41 }, undefined],
  [deep, { maxEntries: 40 }, /more than 40 entries and directories that their paths imply/],
  [holes, {}, /files of more than 274877906944 bytes/],
  [holes, { maxSize: 2 ** 40 }, undefined],
]

const WORDS: readonly (readonly [words: readonly string[], status: number, said: RegExp])[] = [
  [['--max-size', '1T'], 0, /^/],
  [['--max-size', '1K'], 8, /a tar of more than 1024 bytes/],
  [['--max-size', '1X'], 2, /--max-size '1X': want a number/],
  [['--max-entries', '0'], 2, /--max-entries '0': want a number/],
]

test('a layer beyond the limits of bytes or entries is refused, by itself and in an image, and nothing of it stays', async () => {
  await withVarve('vfs', async ({ root, attempt }, work) => {
    const file = join(work, 'source')
    const store = await openStore({ root, drivers, driver: 'vfs' })
    for (const [tar, limits, refusal] of CASES) {
      const image = tarOf(dockerContent([{ ...imageOf([tar]), tags: [] }]))
      for (const way of ['importLayer', 'importImage'] as const) {
        writeFileSync(file, way === 'importLayer' ? tar : image)
        const work = store[way](file, limits)
        if (refusal === undefined) await work
        else await assert.rejects(work, { code: 'RESOURCE_EXHAUSTED', message: refusal })
        if (refusal !== undefined) assert.deepEqual(store.layers(), [])
      }
      await store.prune({ all: true })
    }
    await store.close()
    writeFileSync(file, plain)
    for (const [words, status, said] of WORDS) {
      const ran = await attempt(['import', '--layer', file, ...words])
      assert.deepEqual([ran.status, said.test(ran.stderr)], [status, true], ran.stderr)
    }
  })
})
