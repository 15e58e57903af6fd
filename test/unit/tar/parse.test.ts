/** The parser as an object: what it promises to its caller, and that it stays fast and small. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { createSplitWriter, readSplit } from '../../../core/tar/split.js'
import { body, END, file, header, pax } from '../../support/tar-bytes.js'
import { errorOf } from './reading.js'

const TAR = Buffer.concat([
  file('a', 'aaa'),
  header({ name: 'd/', type: '5' }),
  file('b', 'x'.repeat(2000)),
  END,
])

describe('the parser', () => {
  test('reports headers, entry, content and end in the order of the stream', () => {
    const events: string[] = []
    const parser = createTarParser({
      raw: (bytes) => events.push(`raw ${bytes.length}`),
      entry: ({ path, stored }) => events.push(`entry ${path} of ${stored} at ${parser.offset()}`),
      payload: (bytes) => events.push(`payload ${bytes.length}`),
      entryEnd: () => events.push('end'),
    })
    parser.push(TAR.subarray(0, 2300))
    assert.equal(parser.payloadLeft(), 2000 - (2300 - 2048))
    parser.push(TAR.subarray(2300))
    parser.end()
    assert.deepEqual(events, [
      'raw 512',
      'entry a of 3 at 512',
      'payload 3',
      'end',
      'raw 509',
      'raw 512',
      'entry d/ of 0 at 1536',
      'end',
      'raw 512',
      'entry b of 2000 at 2048',
      'payload 252',
      'payload 1748',
      'end',
      'raw 48',
      'raw 512',
      'raw 512',
    ])
    assert.equal(parser.offset(), TAR.length)
    assert.ok(parser.ended())
  })

  test('skipped payload counts as pushed', () => {
    const entries: string[] = []
    const parser = createTarParser({ entry: ({ path }) => entries.push(path) })
    parser.push(TAR.subarray(0, 512))
    assert.equal(errorOf(() => parser.skipPayload(4))?.code, 'INVALID_ARGUMENT')
    parser.skipPayload(2)
    parser.push(TAR.subarray(514, 2048))
    assert.equal(errorOf(() => parser.end())?.code, 'CORRUPT')
    parser.skipPayload(2000)
    assert.equal(errorOf(() => parser.skipPayload(1))?.code, 'INVALID_ARGUMENT')
    parser.push(TAR.subarray(4048))
    parser.end()
    assert.deepEqual(entries, ['a', 'd/', 'b'])
  })

  test("a handler's exception ends the parse, and is thrown again afterwards", () => {
    const parser = createTarParser({
      entry() {
        throw new RangeError('enough')
      },
    })
    for (const step of [() => parser.push(TAR), () => parser.push(TAR), () => parser.end()]) {
      assert.throws(step, new RangeError('enough'))
    }
  })

  test('chunks and records may lie in shared memory', () => {
    const shared = (bytes: Uint8Array) => {
      const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
      copy.set(bytes)
      return copy
    }
    const chunks: Uint8Array[] = []
    const split = createSplitWriter((chunk) => chunks.push(shared(chunk)))
    const parser = createTarParser({
      raw: (bytes) => split.raw(bytes),
      entry() {},
      payload: (bytes) => split.raw(bytes),
    })
    parser.push(shared(TAR))
    parser.end()
    split.end()
    const back = [...readSplit(chunks)].map((item) => (item.kind === 'raw' ? item.bytes : END))
    assert.ok(Buffer.concat(back).equals(TAR))
  })
})

describe('hostile archives', () => {
  const SIZE = 64 << 20
  const cases: readonly (readonly [title: string, block: Buffer])[] = [
    ['endless extended headers', pax([['comment', 'c'.repeat(1_000_000)]])],
    ['endless global headers', pax([['comment', 'c'.repeat(1_000_000)]], 'g')],
    [
      'global attributes that every extended header copies',
      Buffer.concat([
        pax(
          Array.from({ length: 350 }, (_, i) => [`SCHILY.xattr.user.${i}`, 'v']),
          'g',
        ),
        ...Array.from({ length: 200 }, () =>
          Buffer.concat([pax([['SCHILY.xattr.user.own', '1']]), header({ name: 'a' })]),
        ),
      ]),
    ],
    [
      'links that claim a petabyte',
      header({ name: 'h', type: '1', linkname: 'a', size: 2 ** 50, magic: 'gnu' }),
    ],
    ['endless zeros', Buffer.alloc(1 << 20)],
    [
      'sparse files of a map of 64 KiB and no content',
      Buffer.concat([
        pax([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '0'],
          ['GNU.sparse.name', 's'],
        ]),
        header({ name: 's', size: 65536 }),
        body(`16382\n${'0\n0\n'.repeat(16382)}`.padEnd(65536, '0\n')),
      ]),
    ],
  ]
  for (const [title, block] of cases) {
    test(`${title}: bounded in time and memory`, () => {
      let last: TarEntry | undefined
      const parser = createTarParser({
        entry(entry) {
          last = entry
        },
      })
      const before = process.memoryUsage()
      const start = process.cpuUsage()
      const error = errorOf(() => {
        for (let done = 0; done < SIZE; done += block.length) parser.push(block)
      })
      if (/^endless .* headers/.test(title)) assert.match(error?.message ?? '', /belong to no entry/)
      else assert.equal(error, undefined)
      const { user, system } = process.cpuUsage(start)
      const after = process.memoryUsage()
      assert.ok(user + system < 10e6, `${(user + system) / 1e6} s for 64 MiB (last: ${last?.path})`)
      assert.ok(after.arrayBuffers - before.arrayBuffers < 64 << 20, 'buffers are not kept')
      assert.ok(after.rss - before.rss < 300 << 20, 'memory stays bounded')
    })
  }
})
