/** Split records and the index of an archive: damage and bounds. Every other test here makes valid ones (reading.ts). */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createTarParser } from '../../../core/tar/parse.js'
import { indexTar, type ReadAt } from '../../../core/tar/seek.js'
import { createSplitWriter, readEntries, readSplit } from '../../../core/tar/split.js'
import { END, file, header, pax } from '../../support/tar-bytes.js'
import { errorOf, readTar, sha256 } from './reading.js'

const MANY = Buffer.concat([
  ...Array.from({ length: 2000 }, (_, i) => file(`dir/file-${i}`, `content ${i}`)),
  END,
])

function recordOf(tar: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = []
  const split = createSplitWriter((chunk) => chunks.push(chunk))
  let payload = Buffer.alloc(0)
  const parser = createTarParser({
    raw: (bytes) => split.raw(bytes),
    entry: () => {
      payload = Buffer.alloc(0)
    },
    payload: (bytes) => {
      payload = Buffer.concat([payload, bytes])
    },
    entryEnd: () => {
      if (payload.length > 0) split.stored(payload.length, sha256(payload))
    },
  })
  parser.push(tar)
  parser.end()
  split.end()
  return chunks
}

const all = (chunks: Iterable<Uint8Array>) => [...readSplit(chunks)]

describe('split records', () => {
  test('many small chunks of bytes that do not compress', () => {
    const tail = randomBytes(3_000_000)
    const tar = Buffer.concat([MANY, tail])
    assert.equal(readTar(tar).length, 2000)
    const chunks = recordOf(tar)
    assert.ok(chunks.length > 12)
    for (const chunk of chunks) assert.ok(chunk.length < 256 * 1024)
  })

  test('a record of plain headers is small', () => {
    const size = recordOf(MANY).reduce((sum, chunk) => sum + chunk.length, 0)
    // Half of it is digests, which do not compress.
    assert.ok(size < 2000 * 64, `${size} bytes`)
  })

  test('chunks are read one at a time', () => {
    const chunks = recordOf(Buffer.concat([MANY, randomBytes(1_000_000)]))
    let taken = 0
    const lazy = (function* () {
      for (const chunk of chunks) {
        taken++
        yield chunk
      }
    })()
    readSplit(lazy).next()
    assert.equal(taken, 1)
    const entries = readEntries(chunks)
    assert.equal(entries.next().value?.path, 'dir/file-0')
  })

  test('payload may be kept as raw bytes', () => {
    const chunks: Uint8Array[] = []
    const split = createSplitWriter((chunk) => chunks.push(chunk))
    split.raw(MANY)
    split.end()
    assert.ok(Buffer.concat(all(chunks).map((item) => (item.kind === 'raw' ? item.bytes : END))).equals(MANY))
    assert.equal([...readEntries(chunks)].length, 2000)
  })

  const chunks = recordOf(Buffer.concat([MANY, randomBytes(600_000)]))
  const [first = END, second = END, third = END] = chunks
  const writing = (write: (split: ReturnType<typeof createSplitWriter>) => void) => {
    const made: Uint8Array[] = []
    const split = createSplitWriter((chunk) => made.push(chunk))
    write(split)
    split.end()
    return made
  }
  const digest = new Uint8Array(32)
  const damages: readonly (readonly [title: string, chunks: Uint8Array[], message: RegExp])[] = [
    ['no chunks', [], /cut off after 0 chunks/],
    ['a missing last chunk', chunks.slice(0, -1), /cut off/],
    ['a missing first chunk', chunks.slice(1), /chunk 0 has a wrong checksum|no header|out of its place/],
    ['chunks out of order', [first, third, second], /chunk 1 has a wrong checksum, or is out of its place/],
    ['a chunk after the end', [...chunks, first], /goes on after its end/],
    ['an empty chunk', [new Uint8Array(0)], /a form that this version does not know/],
    [
      'another version',
      [Buffer.concat([Buffer.from([0xd2]), first.subarray(1)])],
      /a form that this version/,
    ],
    ['a cut chunk', [first.subarray(0, 5000)], /chunk 0 can't be inflated/],
    [
      'content of the wrong size',
      writing((s) => {
        s.raw(header({ name: 'a', size: 5 }))
        s.stored(4, digest)
      }),
      /4 bytes of content are no entry's/,
    ],
    [
      'content without an entry',
      writing((s) => {
        s.stored(4, digest)
      }),
      /no entry's/,
    ],
    [
      'content after a part of it',
      writing((s) => {
        s.raw(header({ name: 'a', size: 5 }))
        s.raw(Buffer.from('a'))
        s.stored(4, digest)
      }),
      /no entry's/,
    ],
    ['raw bytes that are not a tar', writing((s) => s.raw(Buffer.alloc(600, 1))), /not a tar archive/],
    ['a record of half an archive', writing((s) => s.raw(header({ name: 'a', size: 5 }))), /cut off/],
  ]
  for (const [title, damaged, message] of damages) {
    test(`${title} is CORRUPT`, () => {
      for (const read of [all, (bad: Uint8Array[]) => [...readEntries(bad)]]) {
        const error = errorOf(() => read(damaged))
        assert.equal(error?.code, 'CORRUPT')
        assert.match(error.message, message)
      }
    })
  }

  test('every changed byte is found, or changes nothing', () => {
    const small = recordOf(Buffer.concat([file('a', 'x'), file('b', 'y'), END]))
    const [chunk] = small
    assert.ok(chunk && small.length === 1)
    for (let at = 0; at < chunk.length; at++) {
      for (const mask of [1, 0x80, 0xff]) {
        const bad = new Uint8Array(chunk)
        bad[at] = (bad[at] ?? 0) ^ mask
        let items: ReturnType<typeof all> | undefined
        const error = errorOf(() => {
          items = all([bad])
        })
        // The last bits of a deflate stream have no meaning.
        if (error === undefined) assert.deepEqual(items, all(small), `byte ${at} ^ ${mask}`)
        else assert.equal(error.code, 'CORRUPT')
      }
    }
  })

  test('a reference needs a size and a digest', () => {
    const split = createSplitWriter(() => {})
    assert.equal(errorOf(() => split.stored(0, digest))?.code, 'INVALID_ARGUMENT')
    assert.equal(errorOf(() => split.stored(1, digest.subarray(1)))?.code, 'INVALID_ARGUMENT')
  })
})

describe('the index of an archive', () => {
  const big = Buffer.alloc(300_000, 0x62)
  const tar = Buffer.concat([
    pax([['path', 'p'.repeat(200)]]),
    file('short', big),
    header({ name: 'd/', type: '5' }),
    file('small', 'tiny'),
    file('last', big),
    END,
  ])

  function withFile<T>(content: Uint8Array, use: (fd: number, size: number) => T): T {
    const directory = mkdtempSync(join(tmpdir(), 'varve-tar-'))
    const path = join(directory, 'a.tar')
    writeFileSync(path, content)
    const fd = openSync(path, 'r')
    try {
      return use(fd, statSync(path).size)
    } finally {
      closeSync(fd)
      rmSync(directory, { recursive: true })
    }
  }

  test('has names, and the offsets of the payload', () => {
    withFile(tar, (fd, size) => {
      for (const known of [size, undefined]) {
        let got = 0
        const counted: ReadAt = (...args) => {
          const length = readSync(...args)
          got += length
          return length
        }
        const index = indexTar(fd, counted, known)
        assert.deepEqual(
          index.map(({ entry }) => entry.path),
          ['p'.repeat(200), 'd/', 'small', 'last'],
        )
        for (const { entry, offset } of index) {
          const bytes = tar.subarray(offset, offset + entry.stored)
          assert.ok(bytes.every((byte) => byte === (entry.path === 'small' ? byte : 0x62)))
        }
        assert.ok(got < 250_000, `${got} bytes were read`)
      }
    })
  })

  test('an archive that is cut off anywhere is found', () => {
    for (const length of [0, 100, 1000, 1600, 200_000, tar.length - 1024 - 700, 301_000]) {
      withFile(tar.subarray(0, length), (fd, size) => {
        for (const known of [size, undefined]) {
          const error = errorOf(() => indexTar(fd, readSync, known))
          assert.equal(error?.code, 'CORRUPT', `${length} bytes`)
          if (length > 2000) assert.match(error.message, /cut off/)
        }
      })
    }
  })

  test('one read of a short archive may be short', () => {
    withFile(tar, (fd, size) => {
      const slow = (f: number, buffer: Uint8Array, offset: number, length: number, position: number) =>
        readSync(f, buffer, offset, Math.min(length, 100), position)
      assert.equal(indexTar(fd, slow, size).length, 4)
    })
  })
})
