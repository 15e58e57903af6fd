/**
 * Random archives: the entries that are packed are parsed, whatever the dialect and wherever the stream is cut into chunks.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isCode, VarveError } from '../../../core/errors.js'
import { createTarPacker } from '../../../core/tar/pack.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { randomRuns } from '../../support/seed.js'
import { END, write } from '../../support/tar-bytes.js'
import { dialects, type Sample, sample } from './arbitrary.js'
import { readTar } from './reading.js'

const cuts = fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 20 })

describe('random archives', () => {
  for (const dialect of dialects) {
    test(`${dialect}: entries and content come out, and the bytes come back`, () => {
      fc.assert(
        fc.property(fc.array(sample(fc.constant(dialect)), { maxLength: 6 }), cuts, (samples, lengths) => {
          const tar = Buffer.concat([...samples.map(written), END])
          agree(readTar(tar, lengths), samples)
        }),
        randomRuns(150),
      )
    })
  }

  test('all dialects in one archive, by single bytes', () => {
    fc.assert(
      fc.property(fc.array(sample(), { maxLength: 8 }), (samples) => {
        agree(readTar(Buffer.concat([...samples.map(written), END]), [1]), samples)
      }),
      randomRuns(30),
    )
  })

  test('what we pack we can read, and the same entries give the same bytes', () => {
    fc.assert(
      fc.property(fc.array(sample(), { maxLength: 8 }), cuts, (samples, lengths) => {
        const tar = packed(samples, lengths)
        agree(readTar(tar, lengths), samples)
        assert.ok(packed(samples, [7000]).equals(tar))
      }),
      randomRuns(300),
    )
  })

  test('a cut gives an error, or whole entries', () => {
    fc.assert(
      fc.property(fc.array(sample(), { minLength: 1, maxLength: 4 }), (samples) => {
        const parts = samples.map(written)
        const ends = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length)
        const tar = Buffer.concat([...parts, END])
        const step = Math.max(1, Math.floor(tar.length / 300))
        for (let at = 0; at < tar.length; at += step) {
          const found = attempt(tar.subarray(0, at))
          if (found instanceof VarveError) continue
          // If the cut is accepted, no entry is incomplete or lost.
          const whole = samples.filter(
            (_, i) => at >= (ends[i] ?? 0) - 511 && at >= contentEnd(parts, samples, i),
          ).length
          assert.ok(found >= whole && found <= samples.length, `${found} of ${whole} entries in ${at} bytes`)
          assert.ok(at % 512 === 0 || isPadding(tar, at), `accepted at byte ${at}`)
        }
      }),
      randomRuns(60),
    )
  })

  test('flipped bytes give entries or a VarveError, in bounded time', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 6,
    })
    fc.assert(
      fc.property(
        fc.array(sample(), { minLength: 1, maxLength: 4 }),
        flips,
        fc.boolean(),
        (samples, changes, mend) => {
          const tar = Buffer.concat([...samples.map(written), END])
          for (const [at, value] of changes) tar[at % tar.length] = value
          if (mend) for (const [at] of changes) mendChecksum(tar, at % tar.length)
          attempt(tar)
        },
      ),
      randomRuns(3000),
    )
  })
})

function written({ entry, payload, dialect }: Sample): Buffer {
  return write(entry, payload, dialect)
}

function packed(samples: readonly Sample[], lengths: readonly number[]): Buffer {
  const out: Buffer[] = []
  const packer = createTarPacker((bytes) => out.push(Buffer.from(bytes)))
  for (const { entry, payload } of samples) {
    packer.entry(entry)
    for (let at = 0, i = 0; at < payload.length; i++) {
      const length = lengths[i % lengths.length] ?? 1
      packer.payload(payload.subarray(at, at + length))
      at += length
    }
  }
  packer.end()
  return Buffer.concat(out)
}

function agree(found: ReturnType<typeof readTar>, samples: readonly Sample[]): void {
  assert.equal(found.length, samples.length)
  for (const [i, { entry, payload }] of samples.entries()) {
    assert.deepEqual(found[i]?.entry, entry)
    assert.ok(found[i]?.payload.equals(payload))
  }
}

/** The number of entries, or the VarveError; any other error is thrown. */
function attempt(tar: Uint8Array): number | VarveError {
  let entries = 0
  const parser = createTarParser({ entry: () => entries++ })
  try {
    parser.push(tar)
    parser.end()
    return entries
  } catch (error) {
    // A NUL in a name is INVALID_ARGUMENT, as everywhere.
    if (isCode(error, 'CORRUPT') || isCode(error, 'INVALID_ARGUMENT')) return error
    throw error
  }
}

function contentEnd(parts: readonly Buffer[], samples: readonly Sample[], index: number): number {
  const before = Buffer.concat(parts.slice(0, index + 1)).length
  const stored = samples[index]?.entry.stored ?? 0
  return before - ((512 - (stored % 512)) % 512)
}

function isPadding(tar: Buffer, at: number): boolean {
  return (
    tar.subarray(at - (at % 512), at).every((byte) => byte === 0) ||
    tar.subarray(at, at - (at % 512) + 512).every((byte) => byte === 0)
  )
}

/** Corrects the checksum of the block around a byte, so that a changed header gets past it. */
function mendChecksum(tar: Buffer, at: number): void {
  const block = tar.subarray(at - (at % 512), at - (at % 512) + 512)
  block.write('        ', 148)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}
