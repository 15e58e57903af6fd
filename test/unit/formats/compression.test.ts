import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, closeSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Blob } from '../../../core/compress/blob.js'
import { compress } from '../../../core/compress/compress.js'
import { openDecompressed } from '../../../core/compress/decompress.js'
import { sniff, sniffBlob } from '../../../core/compress/sniff.js'
import { VarveError } from '../../../core/errors.js'
import { readAsync } from '../../../core/sys/async-files.js'
import { which } from '../../../core/sys/exec.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { digestOfBytes, tempDirs } from './build.js'

/** 1.3 MB that compress moderately. */
const PLAIN = Buffer.from(
  Array.from({ length: 60_000 }, (_, i) => `${(i * 2654435761) % 4294967296} line\n`).join(''),
)

const INSTALLED = new Map(['igzip', 'pigz', 'zstd'].map((tool) => [tool, which(tool)]))

/** Ways to decompress: the installed programs that VARVE_PATH has. */
const WAYS: Readonly<Record<'gzip' | 'zstd', readonly (readonly string[])[]>> = {
  gzip: [['igzip'], ['pigz'], []],
  zstd: [['zstd'], []],
}

const gz = gzipSync(PLAIN)
const zst = zstd(PLAIN)
const skippable = Buffer.concat([Buffer.from('502a4d1805000000', 'hex'), Buffer.from('hello')])

function zstd(bytes: Buffer, ...args: string[]): Buffer {
  return execFileSync('zstd', ['-qc', ...args], { input: bytes, maxBuffer: 1 << 28 })
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  const index = at < 0 ? bytes.length + at : at
  copy[index] = (copy[index] ?? 0) ^ 0x55
  return copy
}

const BOTH = Buffer.concat([PLAIN, PLAIN])

const GOOD: readonly (readonly [title: string, bytes: Buffer, plain: Buffer])[] = [
  ['gzip', gz, PLAIN],
  ['gzip of several members', Buffer.concat([gz, gz]), BOTH],
  ['gzip with zeros after it', Buffer.concat([gz, Buffer.alloc(3000)]), PLAIN],
  ['gzip with many zeros after it', Buffer.concat([gz, Buffer.alloc(2_000_000)]), PLAIN],
  ['gzip of nothing', gzipSync(Buffer.alloc(0)), Buffer.alloc(0)],
  ['zstd', zst, PLAIN],
  ['zstd of several frames', Buffer.concat([zst, zst]), BOTH],
  ['zstd with skippable frames', Buffer.concat([skippable, zst, skippable]), PLAIN],
  ['zstd without a checksum', zstd(PLAIN, '--no-check'), PLAIN],
]

const cuts = (bytes: Buffer) => [5, 11, 100, bytes.length >> 1, bytes.length - 9, bytes.length - 1]

const BAD: readonly (readonly [title: string, bytes: Buffer])[] = [
  ['gzip with a bad method', flipped(gz, 2)],
  ['gzip damaged in the middle', flipped(gz, gz.length >> 1)],
  ['gzip with a wrong CRC', flipped(gz, -6)],
  ['gzip with a wrong size', flipped(gz, -2)],
  ['gzip with text after it', Buffer.concat([gz, Buffer.from('something else')])],
  ['gzip with one byte after it', Buffer.concat([gz, Buffer.from('x')])],
  ['gzip with much random data after it', Buffer.concat([gz, Buffer.from('ab'.repeat(500_000))])],
  ['gzip with zeros and then text after it', Buffer.concat([gz, Buffer.alloc(700), Buffer.from('text')])],
  [
    'gzip with something after it that begins like a member',
    Buffer.concat([gz, Buffer.from('1f8b787878787878', 'hex')]),
  ],
  ['gzip whose second member is cut in its header', Buffer.concat([gz, gz.subarray(0, 5)])],
  ['gzip whose second member is cut', Buffer.concat([gz, gz.subarray(0, 700)])],
  ...cuts(gz).map((at) => [`gzip cut at byte ${at}`, gz.subarray(0, at)] as const),
  ['zstd damaged in its header', flipped(zst, 5)],
  ['zstd damaged in the middle', flipped(zst, zst.length >> 1)],
  ['zstd with a wrong checksum', flipped(zst, -2)],
  ['zstd with text after it', Buffer.concat([zst, Buffer.from('something else')])],
  ['zstd with zeros after it', Buffer.concat([zst, Buffer.alloc(100)])],
  ['zstd whose second frame is cut', Buffer.concat([zst, zst.subarray(0, 5)])],
  ['zstd with a skippable frame cut', Buffer.concat([zst, skippable.subarray(0, 10)])],
  ['zstd with a window beyond 128 MiB', hugeWindow()],
  ...cuts(zst).map((at) => [`zstd cut at byte ${at}`, zst.subarray(0, at)] as const),
]

/** A frame header (RFC 8878, 3.1.1.1) that asks for a window of 2 GiB, and one raw block of a byte. */
function hugeWindow(): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, 0x41])
}

for (const compression of ['gzip', 'zstd'] as const) {
  for (const tools of WAYS[compression]) {
    const way = tools[0] ?? 'the library'
    const skip = tools.some((tool) => INSTALLED.get(tool) === undefined) ? `${way} is not installed` : false
    test(`${compression} by ${way}: valid data is decompressed completely, with the digest of the input`, {
      skip,
    }, async (t) => {
      usePath(t, tools)
      for (const [title, bytes, plain] of GOOD) {
        if (!title.startsWith(compression)) continue
        const got = await decompressed(t, bytes)
        assert.ok(got.plain.equals(plain), title)
        assert.deepEqual(got.side, { digest: digestOfBytes(bytes), size: bytes.length }, title)
      }
    })
    test(`${compression} by ${way}: data that is damaged, truncated or followed by something else is CORRUPT`, {
      skip,
    }, async (t) => {
      usePath(t, tools)
      for (const [title, bytes] of BAD) {
        if (!title.startsWith(compression)) continue
        const error = await decompressed(t, bytes).then(
          () => assert.fail(`${title}: accepted`),
          (thrown) => thrown,
        )
        assert.ok(error instanceof VarveError, `${title}: ${error}`)
        // Valid, but a larger window than readers allow.
        const code = title.includes('window') ? 'INVALID_ARGUMENT' : 'CORRUPT'
        assert.equal(error.code, code, `${title}: ${error.message}`)
        assert.match(error.message, /^layer x: /, title)
      }
    })
  }
}

test('plain bytes are read from the file itself, at their offset', async (t) => {
  const plain = openDecompressed(blobOf(t, Buffer.from('0123456789'), 3, 4), 'none')
  assert.deepEqual([plain.offset, plain.size], [3, 4])
  assert.deepEqual(await plain.finished, { digest: undefined, size: 4 })
  await plain.confirm(4)
  await plain.close()
})

test('a blob within a file ends where it ends', async (t) => {
  const blob = blobOf(t, Buffer.concat([Buffer.from('before'), gz, Buffer.from('after')]), 6, gz.length)
  const plain = openDecompressed(blob, 'gzip')
  assert.ok((await readAll(plain.fd)).equals(PLAIN))
  assert.equal((await plain.finished).digest, digestOfBytes(gz))
  await plain.confirm(PLAIN.length)
  await plain.close()
})

test('a blob whose file was truncated is CORRUPT', async (t) => {
  for (const tools of WAYS.gzip) {
    usePath(
      t,
      tools.filter((tool) => INSTALLED.get(tool) !== undefined),
    )
    const blob = { ...blobOf(t, gz), size: gz.length + 5 }
    const plain = openDecompressed(blob, 'gzip')
    await readAll(plain.fd)
    await assert.rejects(plain.finished, { code: 'CORRUPT', message: /ends after \d+ of \d+ bytes/ })
    await plain.close()
  }
})

test('a helper that hangs is killed on abort, with what it started', async (t) => {
  const { dir } = tempDirs(t)
  for (const name of ['igzip', 'pigz', 'zstd']) script(dir, name, 'sleep 1000 & sleep 1000')
  process.env.VARVE_PATH = restored(t, `${dir}:/usr/bin:/bin`)
  for (const compression of ['gzip', 'zstd'] as const) {
    const controller = new AbortController()
    const bytes = compression === 'gzip' ? gz : zst
    const plain = openDecompressed(blobOf(t, bytes), compression, { signal: controller.signal })
    const reading = readAll(plain.fd)
    setTimeout(() => controller.abort(), 100)
    await assert.rejects(plain.finished, { code: 'CANCELLED' })
    // The end of the pipe shows that no process has it open.
    assert.equal((await reading).length, 0)
    await plain.close()
  }
})

test('closing early ends every way of decompressing, also one that is blocked in the pipe', async (t) => {
  for (const compression of ['gzip', 'zstd'] as const) {
    for (const tools of WAYS[compression]) {
      usePath(
        t,
        tools.filter((tool) => INSTALLED.get(tool) !== undefined),
      )
      const plain = openDecompressed(blobOf(t, compression === 'gzip' ? gz : zst), compression)
      assert.equal(await readAsync(plain.fd, Buffer.alloc(10), null), 10)
      await plain.close()
      await assert.rejects(plain.finished, { code: 'CANCELLED' })
      await plain.close()
    }
  }
})

test('an aborted signal starts nothing', async (t) => {
  for (const tools of WAYS.gzip) {
    usePath(
      t,
      tools.filter((tool) => INSTALLED.get(tool) !== undefined),
    )
    const plain = openDecompressed(blobOf(t, gz), 'gzip', { signal: AbortSignal.abort() })
    await assert.rejects(plain.finished, { code: 'CANCELLED' })
    await plain.close()
  }
})

test('a helper that fails by itself is distinguished from damaged data', async (t) => {
  const { dir } = tempDirs(t)
  process.env.VARVE_PATH = restored(t, `${dir}:/usr/bin:/bin`)
  const rows = [
    ['exit 127', 'UNAVAILABLE', /exit status 127/],
    ['kill -9 $$', 'UNAVAILABLE', /SIGKILL/],
    ['echo "bad block" >&2; exit 1', 'CORRUPT', /igzip: bad block/],
    ['exit 0', 'CORRUPT', /0 bytes came out/],
  ] as const
  for (const [body, code, message] of rows) {
    script(dir, 'igzip', body)
    await assert.rejects(decompressed(t, gz), { code, message })
  }
})

test('no descriptor and no scratch stays behind', async (t) => {
  const before = openDescriptors()
  await decompressed(t, gz)
  await decompressed(t, gz.subarray(0, 500)).catch(() => {})
  await decompressed(t, zst)
  await assertNoneLeft(before)
})

test('compressions are recognised by their first bytes, and unsupported ones are refused by name', (t) => {
  const rows: readonly (readonly [string | Buffer, string])[] = [
    ['', 'none'],
    ['x', 'none'],
    [gz, 'gzip'],
    [zst, 'zstd'],
    [skippable, 'zstd'],
    [Buffer.from('fd377a585a000004', 'hex'), 'xz'],
    ['BZh91AY', 'bzip2'],
    [Buffer.from('04224d1864', 'hex'), 'lz4'],
    ['LZIP\x01', 'lzip'],
    [Buffer.from('1f9d90', 'hex'), 'compress'],
    ['PK\x03\x04', 'zip'],
  ]
  for (const [start, expected] of rows) {
    assert.equal(sniff(Buffer.from(start as string)), expected)
    const blob = blobOf(t, Buffer.from(start as string))
    if (['none', 'gzip', 'zstd'].includes(expected)) assert.equal(sniffBlob(blob), expected)
    else
      assert.throws(() => sniffBlob(blob), {
        code: 'UNIMPLEMENTED',
        message: new RegExp(`unsupported compression ${expected}`),
      })
  }
})

for (const format of ['gzip', 'zstd'] as const) {
  for (const tools of format === 'gzip' ? [['pigz'], []] : [['zstd'], []]) {
    const way = tools[0] ?? 'the library'
    const skip = tools.some((tool) => INSTALLED.get(tool) === undefined) ? `${way} is not installed` : false
    test(`compress ${format} by ${way}: the same bytes whatever the pieces, and they decompress to the input`, {
      skip,
    }, async (t) => {
      usePath(t, tools)
      const big = Buffer.concat([BOTH, BOTH])
      const once = await collect(compress(pieces(big, 1 << 20), format))
      assert.ok(once.equals(await collect(compress(pieces(big, 3333), format))))
      assert.ok(once.length < big.length / 2)
      assert.ok((await decompressed(t, once)).plain.equals(big))
      if (format === 'gzip') assert.deepEqual([...once.subarray(3, 8)], [0, 0, 0, 0, 0], 'no name, no time')
      assert.ok(
        (await decompressed(t, await collect(compress(pieces(Buffer.alloc(0), 1), format)))).plain.length ===
          0,
      )
    })
    test(`compress ${format} by ${way}: an error of the source, an abort and an early return end it`, {
      skip,
    }, async (t) => {
      usePath(t, tools)
      const failing = async function* () {
        yield PLAIN
        throw new VarveError('CORRUPT', 'the source is bad')
      }
      await assert.rejects(collect(compress(failing(), format)), {
        code: 'CORRUPT',
        message: 'the source is bad',
      })
      const controller = new AbortController()
      const endless = async function* () {
        for (let i = 0; ; i++) {
          yield PLAIN
          if (i === 3) controller.abort()
        }
      }
      await assert.rejects(collect(compress(endless(), format, { signal: controller.signal })), {
        code: 'CANCELLED',
      })
      await assert.rejects(collect(compress(pieces(PLAIN, 1000), format, { signal: AbortSignal.abort() })), {
        code: 'CANCELLED',
      })
      for await (const chunk of compress(pieces(Buffer.concat(Array(20).fill(PLAIN)), 100_000), format)) {
        assert.ok(chunk.length > 0)
        break
      }
    })
  }
}

test('a compressor that fails is reported with its words', async (t) => {
  const { dir } = tempDirs(t)
  process.env.VARVE_PATH = restored(t, `${dir}:/usr/bin:/bin`)
  script(dir, 'pigz', 'echo "out of memory" >&2; exit 4')
  await assert.rejects(collect(compress(pieces(BOTH, 100_000), 'gzip')), {
    code: 'UNAVAILABLE',
    message: /pigz: out of memory/,
  })
})

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size))
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

async function decompressed(t: TestContext, bytes: Buffer) {
  const blob = blobOf(t, bytes)
  const plain = openDecompressed(blob, sniffBlob(blob))
  try {
    const all = await readAll(plain.fd)
    const side = await plain.finished
    await plain.confirm(all.length)
    return { plain: all, side }
  } finally {
    await plain.close()
    closeSync(blob.fd)
  }
}

async function readAll(fd: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (;;) {
    const chunk = Buffer.alloc(65536)
    const got = await readAsync(fd, chunk, null)
    if (got === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, got))
  }
}

function blobOf(t: TestContext, bytes: Buffer, offset = 0, size = bytes.length): Blob {
  const file = join(tempDirs(t).dir, 'blob')
  writeFileSync(file, bytes)
  return { fd: openSync(file, 'r'), offset, size, label: 'layer x' }
}

/** VARVE_PATH with links to these programs only. */
function usePath(t: TestContext, tools: readonly string[]): void {
  const { dir } = tempDirs(t)
  for (const tool of tools) symlinkSync(INSTALLED.get(tool) ?? assert.fail(`no ${tool}`), join(dir, tool))
  process.env.VARVE_PATH = restored(t, dir)
}

function restored(t: TestContext, path: string): string {
  t.after(() => {
    delete process.env.VARVE_PATH
  })
  return path
}

function script(dir: string, name: string, body: string): void {
  writeFileSync(join(dir, name), `#!/bin/sh\n${body}\n`)
  chmodSync(join(dir, name), 0o755)
}
