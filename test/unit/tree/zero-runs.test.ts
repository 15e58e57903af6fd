/** The map of a sparse file follows from its bytes, however they came to be on the disk. */
import assert from 'node:assert/strict'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { dataSegments } from '../../../core/tree/zero-runs.js'
import { randomRuns } from '../../seed.js'

const directory = mkdtempSync(join(tmpdir(), 'varve-zeros-'))
after(() => rmSync(directory, { recursive: true }))

const GRAIN = 4096

/** Pieces in bytes: data, or zeros as a hole or written. */
const piece = fc.record({
  kind: fc.constantFrom('data', 'hole', 'zeros'),
  length: fc.oneof(
    fc.integer({ min: 1, max: 3 }).map((n) => n * GRAIN),
    fc.integer({ min: 1, max: 600_000 }),
    fc.constantFrom(128 * 1024, 256 * 1024, 256 * 1024 - 1, 260 * 1024, 1 << 20, 3 << 20),
  ),
})

test('a run of zeros of 256 KiB or more is left out, a shorter one never, whether it is a hole or not', () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const bytes = Buffer.alloc(pieces.reduce((sum, { length }) => sum + length, 0))
      const fd = openSync(join(directory, 'file'), 'w+')
      try {
        ftruncateSync(fd, bytes.length)
        let at = 0
        for (const { kind, length } of pieces) {
          if (kind === 'data') bytes.fill(1, at, at + length)
          if (kind !== 'hole') writeSync(fd, bytes, at, length, at)
          at += length
        }
        assert.deepEqual(dataSegments(fd, bytes.length), naively(bytes))
      } finally {
        closeSync(fd)
      }
    }),
    randomRuns(200),
  )
})

/** Grain by grain. */
function naively(bytes: Buffer): { offset: number; length: number }[] | undefined {
  const segments: { offset: number; length: number }[] = []
  const zeros = Buffer.alloc(GRAIN)
  let [start, end, saved] = [0, 0, 0]
  const close = (at: number) => {
    if (at - start >= 256 * 1024) {
      if (start > end) segments.push({ offset: end, length: start - end })
      saved += at - start
      end = at
    }
  }
  for (let at = 0; at < bytes.length; at += GRAIN) {
    const grain = bytes.subarray(at, at + GRAIN)
    if (grain.equals(zeros.subarray(0, grain.length))) continue
    close(at)
    start = at + GRAIN
  }
  close(bytes.length)
  if (end < bytes.length) segments.push({ offset: end, length: bytes.length - end })
  return bytes.length >= 1 << 20 && saved >= 1 << 20 ? segments : undefined
}
