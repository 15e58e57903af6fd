import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import type { ArchiveFormat, Compression, Progress } from '../../../core/api/options.js'
import { openDecompressed } from '../../../core/compress/decompress.js'
import { sniffBlob } from '../../../core/compress/sniff.js'
import { VarveError } from '../../../core/errors.js'
import type { ExportImage, ImageSource } from '../../../core/formats/read/image.js'
import { openSource } from '../../../core/formats/read/source.js'
import { type WriteOptions, writeImage } from '../../../core/formats/write/write.js'
import { readAsync } from '../../../core/sys/async-files.js'
import { which } from '../../../core/sys/exec.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { exportOf, type ImageParts, imageOf, layerTar, tempDirs } from './build.js'

const FORMATS: readonly (readonly [ArchiveFormat, Compression])[] = [
  ['docker-archive', 'none'],
  ['docker-archive', 'gzip'],
  ['oci-archive', 'none'],
  ['oci-archive', 'gzip'],
  ['oci-archive', 'zstd'],
  ['oci-layout', 'none'],
  ['oci-layout', 'gzip'],
  ['oci-layout', 'zstd'],
]

const base = layerTar('base', 700_000)
const top = layerTar('top')
const IMAGES: readonly (readonly [title: string, image: ImageParts, names: readonly string[]])[] = [
  ['two layers, two names', imageOf([base, top]), ['app:1', 'ghcr.io/x/app:2']],
  [
    'the same layer twice',
    imageOf([top, base, top], { architecture: 'arm', variant: 'v6' }),
    ['localhost/app:latest'],
  ],
  ['no name', imageOf([top]), []],
  ['no layer', imageOf([]), ['scratch:1']],
]

for (const [format, compress] of FORMATS) {
  test(`${format}, ${compress}: what is written can be read, and is the same bytes every time`, async (t) => {
    const { dir, scratch } = tempDirs(t)
    for (const [title, image, names] of IMAGES) {
      const outs = ['one', 'two'].map((name) => join(dir, `${title} ${name}`))
      for (const out of outs) await writeImage(out, exportOf(image, names), { format, compress, scratch })
      const [first = '', second = ''] = outs
      assert.equal(fingerprint(first), fingerprint(second), title)
      const source = await openSource(first, { scratch })
      assert.equal(source.kind, format)
      const [only] = source.images
      assert.ok(only && source.images.length === 1, title)
      assert.deepEqual(only.config, image.config, title)
      assert.deepEqual(only.names, names, title)
      assert.deepEqual(await plainLayers(only), image.layers, title)
      await source.close()
      assert.deepEqual(readdirSync(scratch), [], title)
    }
    assert.equal(readdirSync(dir).length, 2 * IMAGES.length + 1, 'nothing but the requested files')
  })
}

test('standard output gets the same bytes as a file', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const image = exportOf(imageOf([base, top]), ['app:1'])
  for (const format of ['docker-archive', 'oci-archive'] as const) {
    const chunks: Buffer[] = []
    const stdout = new Writable({
      highWaterMark: 1000,
      write(chunk, _encoding, done) {
        chunks.push(chunk)
        setImmediate(done)
      },
    })
    await writeImage('-', image, { format, compress: 'none', scratch, stdout })
    await writeImage(join(dir, format), image, { format, compress: 'none', scratch })
    assert.ok(Buffer.concat(chunks).equals(readFileSync(join(dir, format))))
  }
})

test('a file is replaced only when the new one is complete; a link or a pipe is written through', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const options = { format: 'oci-archive', compress: 'none', scratch } as const
  const image = imageOf([top])
  const file = join(dir, 'image.tar')
  writeFileSync(file, 'old')
  await assert.rejects(writeImage(file, failingAfter(image, 1000), options), {
    code: 'CORRUPT',
    message: 'bad layer',
  })
  assert.equal(readFileSync(file, 'utf8'), 'old')
  await writeImage(file, exportOf(image, []), options)
  const bytes = readFileSync(file)
  const fifo = join(dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  const hash = createHash('sha256')
  const reading = new Promise<void>((resolve, reject) => {
    createReadStream(fifo)
      .on('data', (chunk) => hash.update(chunk))
      .on('end', () => resolve())
      .on('error', reject)
  })
  await writeImage(fifo, exportOf(image, []), options)
  await reading
  assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'))
  assert.ok(statSync(fifo).isFIFO())
  await writeImage('/dev/null', exportOf(image, []), options)
  assert.ok(statSync('/dev/null').isCharacterDevice())
  symlinkSync('nowhere', join(dir, 'dangling'))
  await writeImage(join(dir, 'dangling'), exportOf(image, []), options)
  assert.ok(readFileSync(join(dir, 'dangling')).equals(bytes))
})

test('if the export fails, nothing is left and the error is the cause', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const image = imageOf([base])
  mkdirSync(join(dir, 'full'))
  mkdirSync(join(dir, 'empty'))
  writeFileSync(join(dir, 'full', 'file'), '')
  writeFileSync(join(dir, 'file'), '')
  const before = readdirSync(dir).sort()
  const descriptors = openDescriptors()
  const rows: readonly (readonly [title: string, out: string, image: ExportImage, options: Partial<WriteOptions>, code: string, message: RegExp])[] = [
    ...FORMATS.flatMap(([format, compress]) => {
      const half = new AbortController()
      return [
      ['a bad layer', 'new', failingAfter(image, 300_000), { format, compress }, 'CORRUPT', /bad layer/] as const,
      ['a signal that is aborted', 'new', exportOf(image, []), { format, compress, signal: AbortSignal.abort() }, 'CANCELLED', /interrupted/] as const,
      ['an abort half-way', 'new', interruptedAfter(image, 300_000, () => half.abort()), { format, compress, signal: half.signal }, 'CANCELLED', /interrupted/] as const,
      ['a layer of another size', 'new', { ...exportOf(image, []), layers: exportOf(image, []).layers.map((layer) => ({ ...layer, size: layer.size + 1 })) }, { format, compress: 'none' }, 'CORRUPT', /came where \d+ were recorded/] as const,
      ['no directory to write to', 'none/new', exportOf(image, []), { format, compress }, 'NOT_FOUND', /the directory .*none does not exist/] as const,
      ['a file instead of a directory', 'file/new', exportOf(image, []), { format, compress }, 'NOT_FOUND', /the directory .*file does not exist/] as const,
      ]
    }),
    ['a directory as a file', 'full', exportOf(image, []), { format: 'oci-archive' }, 'INVALID_ARGUMENT', /it is a directory/],
    ['a folder that is not empty', 'full', exportOf(image, []), { format: 'oci-layout' }, 'ALREADY_EXISTS', /not empty/],
    ['a file where the folder would be', 'file', exportOf(image, []), { format: 'oci-layout' }, 'ALREADY_EXISTS', /not empty/],
    ['a docker archive with zstd', 'new', exportOf(image, []), { format: 'docker-archive', compress: 'zstd' }, 'INVALID_ARGUMENT', /can not hold zstd/],
    ['an unfit name in /dev', '/dev/full', exportOf(image, []), { format: 'oci-archive' }, 'RESOURCE_EXHAUSTED', /ENOSPC/],
  ] // biome-ignore format: a table
  for (const [title, out, given, options, code, message] of rows) {
    const where = out.startsWith('/') ? out : join(dir, out)
    const shown = `${title}: ${options.format} ${options.compress}`
    const writing = writeImage(where, given, { format: 'oci-archive', compress: 'none', scratch, ...options })
    const error = await writing.then(
      () => assert.fail(`${shown}: accepted`),
      (thrown) => thrown,
    )
    assert.ok(error instanceof VarveError, `${shown}: ${error.stack}`)
    assert.match(error.code, new RegExp(`^${code}$`), `${shown}: ${error.message}`)
    assert.match(error.message, message, shown)
    assert.deepEqual(readdirSync(dir).sort(), before, shown)
    assert.deepEqual(readdirSync(scratch), [], shown)
  }
  await assertNoneLeft(descriptors)
  await assert.rejects(
    writeImage('-', exportOf(image, []), { format: 'oci-layout', compress: 'none', scratch }),
    { code: 'INVALID_ARGUMENT', message: /a folder/ },
  )
  await writeImage(join(dir, 'empty'), exportOf(image, []), {
    format: 'oci-layout',
    compress: 'none',
    scratch,
  })
  assert.ok(existsSync(join(dir, 'empty', 'index.json')))
})

test('a reader of standard output that goes away ends the export', async (t) => {
  const { scratch } = tempDirs(t)
  const stdout = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    },
  })
  await assert.rejects(
    writeImage('-', exportOf(imageOf([base]), []), {
      format: 'oci-archive',
      compress: 'none',
      scratch,
      stdout,
    }),
    { code: 'UNAVAILABLE', message: /its reader went away/ },
  )
})

test('progress ends at the total', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const reports: Progress[] = []
  const progress = (one: Progress) => reports.push(one)
  await writeImage(join(dir, 'x'), exportOf(imageOf([base, top, base]), []), {
    format: 'oci-archive',
    compress: 'gzip',
    scratch,
    progress,
  })
  const total = base.length + top.length
  assert.deepEqual(reports.at(-1), { step: 'export', done: total, total, unit: 'bytes' })
})

/** Real tools read our archives, offline: from a local file to a local folder. */
const TOOLS: readonly (readonly [tool: string, args: (out: string, format: ArchiveFormat, to: string) => readonly string[]])[] = [
  ['skopeo', (out, format, to) => ['--insecure-policy', 'copy', `${transport(format)}:${out}`, `dir:${to}`]],
  ['umoci', (out, _format, to) => ['unpack', '--rootless', '--image', `${out}:1`, to]],
] // biome-ignore format: a table

for (const [tool, args] of TOOLS) {
  for (const [format, compress] of FORMATS) {
    // umoci 0.4 reads only folders, and no zstd.
    if (tool === 'umoci' && (format !== 'oci-layout' || compress === 'zstd')) continue
    const skip = which(tool) === undefined ? `${tool} is not installed` : false
    test(`${tool} accepts our ${format} with ${compress} layers`, { skip }, async (t) => {
      const { dir, scratch } = tempDirs(t)
      const image = imageOf([base, top], {
        config: { Cmd: ['sh'] },
        history: [{ created_by: 'a' }, { created_by: 'b' }],
      })
      const out = join(dir, 'out')
      await writeImage(out, exportOf(image, ['app:1']), { format, compress, scratch })
      const to = join(dir, 'to')
      execFileSync(tool, args(out, format, to), { stdio: ['ignore', 'ignore', 'pipe'] })
      if (tool === 'umoci') {
        assert.ok(readFileSync(join(to, 'rootfs/etc/top'), 'utf8').startsWith('top top'))
        return
      }
      const manifest = JSON.parse(readFileSync(join(to, 'manifest.json'), 'utf8'))
      assert.equal(manifest.layers.length, 2)
      const config = JSON.parse(readFileSync(join(to, manifest.config.digest.slice(7)), 'utf8'))
      assert.deepEqual(config.rootfs, JSON.parse(image.config.toString()).rootfs)
      const inspected = execFileSync(tool, ['inspect', '--raw', `${transport(format)}:${out}`])
      assert.equal(JSON.parse(inspected.toString()).layers.length, 2)
    })
  }
}

function transport(format: ArchiveFormat): string {
  return format === 'oci-layout' ? 'oci' : format
}

function failingAfter(image: ImageParts, bytes: number): ExportImage {
  return interruptedAfter(image, bytes, () => {
    throw new VarveError('CORRUPT', 'bad layer')
  })
}

function interruptedAfter(image: ImageParts, bytes: number, act: () => void): ExportImage {
  const whole = exportOf(image, ['app:1'])
  return {
    ...whole,
    layers: whole.layers.map((layer) => ({
      ...layer,
      async *open() {
        let seen = 0
        for await (const chunk of layer.open()) {
          yield chunk
          seen += chunk.length
          if (seen >= bytes) act()
        }
      },
    })),
  }
}

async function plainLayers(image: ImageSource['images'][number]): Promise<readonly Buffer[]> {
  const layers: Buffer[] = []
  for (const { blob, digest } of image.layers) {
    assert.ok(blob)
    const plain = openDecompressed(blob, sniffBlob(blob))
    const chunks: Buffer[] = []
    let at = plain.offset
    for (let left = plain.size ?? Number.POSITIVE_INFINITY; left > 0; ) {
      const chunk = Buffer.alloc(Math.min(left, 65536))
      const got = await readAsync(plain.fd, chunk, at ?? null)
      if (got === 0) break
      if (at !== undefined) at += got
      left -= got
      chunks.push(chunk.subarray(0, got))
    }
    const side = await plain.finished
    if (side.digest !== undefined && digest !== undefined) assert.equal(side.digest, digest)
    await plain.close()
    layers.push(Buffer.concat(chunks))
  }
  return layers
}

/** The fingerprint of a file, or of all names and contents in a folder. */
function fingerprint(path: string): string {
  if (!statSync(path).isDirectory()) return createHash('sha256').update(readFileSync(path)).digest('hex')
  return readdirSync(path)
    .sort()
    .map((name) => `${name} ${fingerprint(join(path, name))}`)
    .join('\n')
}
