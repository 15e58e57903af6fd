/**
 * Whatever the bytes, a parser ends, and may only throw a VarveError. Inputs are seeds made by code, mutated with regard to
 * their structure: bits, lengths, blocks, words of JSON. The seed is printed; VARVE_SEED repeats a run.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openSource } from '../../../core/formats/read/source.js'
import { parseLabels } from '../../../core/graph/labels.js'
import { decodeEntry, decodeHead, encodeChange, encodeEntry } from '../../../core/journal/line.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { createSplitWriter, readSplit } from '../../../core/tar/split.js'
import { crc32c } from '../../../drivers/btrfs/crc32c.js'
import { createReplay } from '../../../drivers/btrfs/send-replay.js'
import { createSendParser } from '../../../drivers/btrfs/send-stream.js'
import { type Attribute, command, header } from '../../unit/drivers/btrfs/stream.js'
import {
  createBlobs,
  dockerContent,
  hexOf,
  imageOf,
  layerTar,
  ociContent,
  tarOf,
} from '../../unit/formats/build.js'
import { sized } from '../size.js'
import { fuzz } from './fuzz.js'

const pax = (...records: readonly string[]): Buffer => {
  const body = records.map((record) => `${String(record.length + 4).padStart(3, '0')} ${record}\n`).join('')
  return Buffer.concat([
    headerOf('x', body.length),
    padded(Buffer.from(body)),
    headerOf('0', 0),
    Buffer.alloc(1024),
  ])
}
const tarSeeds = [
  layerTar('a', 700),
  pax('path=long', 'mtime=1.5', 'SCHILY.xattr.user.a=b'),
  pax('GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.name=f', 'GNU.sparse.realsize=4096'),
  pax('GNU.sparse.map=0,1,9,1', 'GNU.sparse.size=10', 'GNU.sparse.numblocks=2'),
  Buffer.concat([headerOf('L', 5), padded(Buffer.from('name\0')), headerOf('S', 0), Buffer.alloc(1024)]),
]

/** Numbers of linux/fs/btrfs/send.h: subvolume, file, directory, rename, link, unlink, update of extents, mode. */
const COMMANDS: readonly (readonly [number, readonly Attribute[]])[] = [
  [1, [[15, 'new'], [1, 'u'.repeat(16)], [2, 'c'.repeat(8)]]],
  [3, [[15, 'a'], [3, 'i'.repeat(8)]]],
  [4, [[15, 'd'], [3, 'i'.repeat(8)]]],
  [9, [[15, 'a'], [16, 'd/b']]],
  [10, [[15, 'c'], [17, 'd/b']]],
  [11, [[15, 'c']]],
  [22, [[15, 'd/b'], [18, 'o'.repeat(8)], [4, 's'.repeat(8)]]],
  [18, [[15, 'd/b'], [5, 'm'.repeat(8)]]],
] // biome-ignore format: a table

const image = imageOf([layerTar('a', 100)])
const blobs = createBlobs()
const archives = [
  tarOf(dockerContent([{ ...image, tags: ['a:1'] }])),
  tarOf(ociContent(image, 'a:1')),
  tarOf(blobs.layout([blobs.index([blobs.manifest(image)])])),
  tarOf({
    [`${hexOf('a')}/json`]: JSON.stringify({ id: hexOf('a') }),
    [`${hexOf('a')}/layer.tar`]: layerTar('a', 100),
  }),
]

test('the tar parser, with extended headers and sparse maps', (t) =>
  fuzz(t, {
    title: 'tar',
    seeds: tarSeeds,
    runs: sized(20_000, 400_000),
    run(input) {
      const parser = createTarParser({ entry: () => {} })
      for (let at = 0; at < input.length; at += 700) parser.push(input.subarray(at, at + 700))
      parser.end()
    },
  }))

test('split records in the database', (t) =>
  fuzz(t, {
    title: 'split',
    seeds: [splitOf(tarSeeds[0] ?? Buffer.alloc(0))],
    runs: sized(5_000, 100_000),
    run(input) {
      for (const _ of readSplit([input]));
    },
  }))

test('lines of the journal', (t) =>
  fuzz(t, {
    title: 'journal',
    seeds: [
      encodeEntry({
        generation: 7,
        covers: 1,
        uuid: 'u',
        isBase: true,
        changes: [encodeChange({ table: 'image', row: { id: 1, config: Buffer.from('{}') }, isGone: false })],
      }),
    ],
    runs: sized(5_000, 100_000),
    run(input) {
      const line = input.toString('utf8')
      const entry = decodeEntry(line)
      const head = entry && { generation: entry.generation, uuid: entry.uuid }
      assert.deepEqual(decodeHead(line), head)
    },
  }))

test("btrfs's send stream", (t) =>
  fuzz(t, {
    title: 'send stream',
    seeds: [
      Buffer.concat([
        header(1),
        ...COMMANDS.map(([number, attributes]) => command(number, attributes)),
        command(21, []),
      ]),
    ],
    runs: sized(10_000, 200_000),
    run(input) {
      const replay = createReplay()
      const parser = createSendParser(replay.command)
      parser.push(checked(input))
      parser.end()
      for (const _ of replay.candidates());
    },
  }))

test('archives of images and their documents', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'varve-fuzz-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const file = join(dir, 'image.tar')
  await fuzz(t, {
    title: 'archives',
    seeds: archives,
    runs: sized(1_500, 50_000),
    async run(input) {
      writeFileSync(file, input)
      await (await openSource(file, { scratch: dir })).close()
    },
  })
})

test('labels', (t) =>
  fuzz(t, {
    title: 'labels',
    seeds: [Buffer.from('{"a":"b","varve.engine":"docker"}')],
    runs: sized(5_000, 50_000),
    run(input) {
      let value: unknown
      try {
        value = JSON.parse(input.toString())
      } catch {
        return
      }
      if (typeof value === 'object' && value !== null) parseLabels(value as Record<string, string>)
    },
  }))

/** The stream with the checksums of its commands corrected, or no mutation would get past them. */
function checked(stream: Buffer): Buffer {
  for (let at = 17; at + 10 <= stream.length; ) {
    const end = at + 10 + stream.readUInt32LE(at)
    if (end > stream.length) break
    stream.writeUInt32LE(0, at + 6)
    stream.writeUInt32LE(crc32c(stream.subarray(at, end)), at + 6)
    at = end
  }
  return stream
}

function headerOf(type: string, size: number): Buffer {
  const [block] = [tarOf({ f: Buffer.alloc(0) }).subarray(0, 512)]
  block.write(size.toString(8).padStart(11, '0'), 124)
  block.write(type, 156)
  block.write('        ', 148)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

function splitOf(tar: Buffer): Buffer {
  const chunks: Buffer[] = []
  const writer = createSplitWriter((chunk) => chunks.push(Buffer.from(chunk)))
  writer.raw(tar)
  writer.end()
  return Buffer.concat(chunks)
}
