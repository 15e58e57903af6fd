/** Zeros take no disk space, whether they are a tar's payload, in any pieces, or in a copied file. */
import assert from 'node:assert/strict'
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { seekData } from '../../../core/sys/files.js'
import { copyContent } from '../../../core/tree/content.js'
import { blockSizeOf, writeAround } from '../../../core/tree/holes.js'
import { randomRuns } from '../../support/seed.js'

const directory = mkdtempSync(join(tmpdir(), 'varve-holes-'))
after(() => rmSync(directory, { recursive: true }))
const path = join(directory, 'file')
const BLOCK = blockSizeOf(directory)

/** A piece of a file's content: data or zeros. */
const piece = fc.record({
  zeros: fc.boolean(),
  length: fc.oneof(
    fc.integer({ min: 1, max: 3 }).map((n) => n * BLOCK),
    fc.integer({ min: 1, max: 5 * BLOCK }),
    fc.constantFrom(BLOCK - 1, BLOCK + 1, 300_000),
  ),
})
/** How a stream is cut. */
const cut = fc.oneof(fc.integer({ min: 1, max: 2 * BLOCK }), fc.constantFrom(512, BLOCK, 262_144))

test('blocks of zeros are holes, however the content is cut into pieces', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), fc.array(cut, { minLength: 1 }), (pieces, cuts) => {
      const content = contentOf(pieces)
      const fd = openSync(path, 'w+')
      try {
        let end = 0
        for (let at = 0, i = 0; at < content.length; i++) {
          const part = content.subarray(at, at + (cuts[i % cuts.length] ?? 1))
          end = writeAround(fd, part, at, BLOCK) || end
          at += part.length
        }
        assert.ok(
          content.subarray(end).every((byte) => byte === 0),
          'only zeros are left for the size',
        )
        ftruncateSync(fd, content.length)
        assertHoles(fd, content)
      } finally {
        closeSync(fd)
      }
    }),
    randomRuns(200),
  )
})

test('a copy has holes where the original has zeros, written or not', () => {
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 10 }), (pieces) => {
      const content = contentOf(pieces)
      const from = openSync(join(directory, 'original'), 'w+')
      const to = openSync(path, 'w+')
      try {
        writeSync(from, content)
        copyContent(from, to, content.length, BLOCK)
        assertHoles(to, content)
      } finally {
        closeSync(from)
        closeSync(to)
      }
    }),
    randomRuns(50),
  )
})

test('a file of plain data is written in one call for each piece', () => {
  const content = Buffer.alloc(1 << 20, 'varve')
  const fd = openSync(path, 'w+')
  try {
    assert.equal(writeAround(fd, content, 0, BLOCK), content.length)
    assert.deepEqual(readFileSync(path), content)
  } finally {
    closeSync(fd)
  }
})

function contentOf(pieces: readonly { readonly zeros: boolean; readonly length: number }[]): Buffer {
  return Buffer.concat(pieces.map(({ zeros, length }) => Buffer.alloc(length, zeros ? 0 : 1)))
}

function assertHoles(fd: number, content: Buffer): void {
  assert.ok(readFileSync(path).equals(content), 'the content is complete')
  for (let at = 0; at < content.length; at += BLOCK) {
    const zero = content.subarray(at, at + BLOCK).every((byte) => byte === 0)
    // A reflink shares the original's blocks, so a copy costs nothing there anyway.
    if (zero) assert.notEqual(seekData(fd, at), at, `the block at ${at} of ${content.length} is on disk`)
  }
}
