import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type ErrorCode, VarveError } from '../../../core/errors.js'
import { openSource } from '../../../core/formats/read/source.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import {
  type Content,
  createBlobs,
  digestOfBytes,
  dockerContent,
  type Fields,
  hexOf,
  imageOf,
  layerTar,
  ociContent,
  TYPES,
  tarOf,
  tempDirs,
  writeFolder,
} from './build.js'

const [base, top] = [layerTar('base'), layerTar('top')] as const
const image = imageOf([base, top])
const docker = dockerContent([{ ...image, tags: ['app:1'] }])
const oci = ociContent(image, 'app:1')
const configPath = `${hexOf(image.config)}.json`
const layerPath = `${hexOf(base)}/layer.tar`
const A = 'a'.repeat(64)
const B = 'b'.repeat(64)

type Row = readonly [title: string, bytes: Buffer | Content, code: ErrorCode, message: RegExp]

/** The docker archive with changes; undefined removes an entry. */
function dockerWith(changes: Readonly<Record<string, Buffer | string | undefined>>): Content {
  return merged(docker, changes)
}

function dockerManifest(change: Fields): Content {
  const item = {
    Config: configPath,
    RepoTags: ['app:1'],
    Layers: [layerPath, `${hexOf(top)}/layer.tar`],
    ...change,
  }
  return dockerWith({ 'manifest.json': JSON.stringify([item]) })
}

function dockerConfig(config: Buffer | string): Content {
  return dockerContent([{ layers: image.layers, config: Buffer.from(config as string), tags: null }])
}

/** A layout of one image whose manifest has these fields changed. */
function ociManifest(change: Fields, descriptor: Fields = {}): Content {
  const blobs = createBlobs()
  return blobs.layout([{ ...blobs.manifest(image, {}, change), ...descriptor }])
}

function ociIndex(
  make: (blobs: ReturnType<typeof createBlobs>) => readonly Fields[],
  change: Fields = {},
): Content {
  const blobs = createBlobs()
  return blobs.layout(make(blobs), change)
}

function ociWithout(path: string): Content {
  return merged(oci, { [path]: undefined })
}

function ociChanged(of: Buffer, to: Buffer | string): Content {
  return merged(oci, { [blob(of)]: to })
}

const blob = (bytes: Buffer) => `blobs/sha256/${hexOf(bytes)}`
const missingDescriptor = (mediaType: string) => ({ mediaType, digest: digestOfBytes('gone'), size: 4 })

function v1(changes: Readonly<Record<string, Buffer | string | undefined>> = {}): Content {
  return merged(
    {
      [`${A}/VERSION`]: '1.0',
      [`${A}/json`]: JSON.stringify({ id: A, parent: B }),
      [`${A}/layer.tar`]: top,
      [`${B}/json`]: JSON.stringify({ id: B }),
      [`${B}/layer.tar`]: base,
      repositories: JSON.stringify({ app: { 1: A } }),
    },
    changes,
  )
}

function deep(depth: number): Content {
  return ociIndex((blobs) => {
    let descriptor = blobs.manifest(image)
    for (let i = 0; i < depth; i++) descriptor = blobs.index([descriptor])
    return [descriptor]
  })
}

const damagedTar = tarOf(docker)
damagedTar[150] = 0x37

const ROWS: readonly Row[] = [
  ['an empty file', Buffer.alloc(0), 'INVALID_ARGUMENT', /it is empty/],
  ['a short text', Buffer.from('hello'), 'INVALID_ARGUMENT', /not a tar archive/],
  ['a long text', Buffer.from('hello world\n'.repeat(1000)), 'INVALID_ARGUMENT', /not a tar archive/],
  ['an xz file', Buffer.from('fd377a585a000004e6d6b446', 'hex'), 'UNIMPLEMENTED', /unsupported compression xz/],
  ['a bzip2 file', Buffer.from('BZh91AY&SY'), 'UNIMPLEMENTED', /unsupported compression bzip2/],
  ['a gzip of text', gzipSync('hello '.repeat(1000)), 'INVALID_ARGUMENT', /not a tar archive/],
  ['a gzip of a gzip', gzipSync(gzipSync(tarOf(docker))), 'INVALID_ARGUMENT', /not a tar archive/],
  ['a damaged gzip', damagedGzip(), 'CORRUPT', /gzip/],
  ['an archive of nothing', Buffer.alloc(1024), 'INVALID_ARGUMENT', /use import --layer/],
  ['a layer tar', base, 'INVALID_ARGUMENT', /looks like a layer tar: use import --layer/],
  ['a bad tar checksum', damagedTar, 'INVALID_ARGUMENT', /tar/],
  ['a bad tar checksum further on', damagedLater(), 'CORRUPT', /byte 512/],

  ['docker: a config path that leads out', dockerManifest({ Config: '../../etc/passwd' }), 'INVALID_ARGUMENT', /image 0: field "Config": illegal path/],
  ['docker: a layer path that leads out', dockerManifest({ Layers: ['../../x', layerPath] }), 'INVALID_ARGUMENT', /"Layers": illegal path "..\/..\/x"/],
  ['docker: an absolute layer path', dockerManifest({ Layers: ['/etc/passwd', layerPath] }), 'INVALID_ARGUMENT', /illegal path/],
  ['docker: a layer path within that climbs', dockerManifest({ Layers: ['x/../../y', layerPath] }), 'INVALID_ARGUMENT', /illegal path/],
  ['docker: a path with NUL', dockerManifest({ Config: 'a\0b' }), 'INVALID_ARGUMENT', /illegal path/],
  ['docker: an empty path', dockerManifest({ Config: '' }), 'INVALID_ARGUMENT', /illegal path/],
  ['docker: a layer that links outside', dockerWith({ [layerPath]: '->../../../etc/passwd' }), 'INVALID_ARGUMENT', /links outside the archive/],
  ['docker: a layer that links to an absolute path', dockerWith({ [layerPath]: '->/etc/passwd' }), 'INVALID_ARGUMENT', /links outside the archive/],
  ['docker: a hard link outside', dockerWith({ [layerPath]: '=>../x' }), 'INVALID_ARGUMENT', /links outside the archive/],
  ['docker: links in circles', dockerWith({ [layerPath]: `->../${hexOf(top)}/layer.tar`, [`${hexOf(top)}/layer.tar`]: `->../${layerPath}` }), 'INVALID_ARGUMENT', /round in circles/],
  ['docker: a link to nothing', dockerWith({ [layerPath]: '->../x/layer.tar' }), 'CORRUPT', /layer .* is missing/],
  ['docker: a missing layer', dockerWith({ [layerPath]: undefined }), 'CORRUPT', /layer [0-9a-f]{64}\/layer.tar \(sha256:[0-9a-f]+\) is missing/],
  ['docker: a missing config', dockerWith({ [configPath]: undefined }), 'CORRUPT', /config [0-9a-f]{64}.json is missing/],
  ['docker: a config that is not what its name says', dockerWith({ [configPath]: '{}' }), 'CORRUPT', /digest mismatch/],
  ['docker: fewer layers than diff_ids', dockerManifest({ Layers: [layerPath] }), 'INVALID_ARGUMENT', /2 diff_ids for 1 layers/],
  ['docker: no layers but diff_ids', dockerManifest({ Layers: null }), 'INVALID_ARGUMENT', /2 diff_ids for 0 layers/],
  ['docker: an illegal tag', dockerManifest({ RepoTags: ['../x:1'] }), 'INVALID_ARGUMENT', /illegal name "..\/x:1" in "RepoTags"/],
  ['docker: a tag that is not a string', dockerManifest({ RepoTags: [5] }), 'INVALID_ARGUMENT', /"RepoTags\[0\]": want a string, got 5/],
  ['docker: no Config', dockerManifest({ Config: undefined }), 'INVALID_ARGUMENT', /field "Config" is missing/],
  ['docker: manifest.json is an object', dockerWith({ 'manifest.json': '{}' }), 'INVALID_ARGUMENT', /manifest.json: want a list, got an object/],
  ['docker: manifest.json holds a text', dockerWith({ 'manifest.json': '["x"]' }), 'INVALID_ARGUMENT', /image 0: want an object, got a string/],
  ['docker: manifest.json is not JSON', dockerWith({ 'manifest.json': '[{' }), 'INVALID_ARGUMENT', /manifest.json: not a JSON document/],
  ['docker: manifest.json is not UTF-8', dockerWith({ 'manifest.json': Buffer.from([0x22, 0xff, 0x22]) }), 'INVALID_ARGUMENT', /not a JSON document/],
  ['docker: manifest.json is too large', dockerWith({ 'manifest.json': ' '.repeat(10 << 20) }), 'INVALID_ARGUMENT', /more than 9437184 is refused/],
  ['docker: no image', dockerWith({ 'manifest.json': '[]' }), 'INVALID_ARGUMENT', /no image in it/],
  ['docker: a config without rootfs', dockerConfig('{"os":"linux"}'), 'INVALID_ARGUMENT', /field "rootfs" is missing/],
  ['docker: a config with another rootfs', dockerConfig('{"rootfs":{"type":"x"}}'), 'INVALID_ARGUMENT', /rootfs.type/],
  ['docker: a malformed diff id', dockerConfig('{"rootfs":{"type":"layers","diff_ids":["sha256:../../x","sha256:y"]}}'), 'INVALID_ARGUMENT', /diff_ids\[0\]": malformed digest/],
  ['docker: a config that hides its fields in __proto__', dockerConfig('{"__proto__":{"rootfs":{"type":"layers"}}}'), 'INVALID_ARGUMENT', /field "rootfs" is missing/],

  ['v1: a tag that points out', v1({ repositories: JSON.stringify({ app: { 1: '../../etc' } }) }), 'INVALID_ARGUMENT', /malformed layer id "..\/..\/etc"/],
  ['v1: a parent that points out', v1({ [`${A}/json`]: JSON.stringify({ id: A, parent: '../x' }) }), 'INVALID_ARGUMENT', /malformed layer id/],
  ['v1: parents in circles', v1({ [`${B}/json`]: JSON.stringify({ id: B, parent: A }) }), 'INVALID_ARGUMENT', /chain of parents has no end/],
  ['v1: a missing parent', v1({ [`${B}/json`]: undefined, [`${B}/layer.tar`]: undefined }), 'CORRUPT', /layer b+\/json is missing/],
  ['v1: a missing layer', v1({ [`${B}/layer.tar`]: undefined }), 'CORRUPT', /b+\/layer.tar is missing/],
  ['v1: a json of another layer', v1({ [`${B}/json`]: JSON.stringify({ id: A }) }), 'INVALID_ARGUMENT', /field "id"/],
  ['v1: another version', v1({ [`${A}/VERSION`]: '2.0' }), 'INVALID_ARGUMENT', /VERSION is "2.0"/],
  ['v1: an illegal name', v1({ repositories: JSON.stringify({ '../x': { 1: A } }) }), 'INVALID_ARGUMENT', /illegal name/],
  ['v1: a compressed layer', v1({ [`${B}/layer.tar`]: gzipSync(base) }), 'UNIMPLEMENTED', /compressed/],

  ['oci: a layout without index.json', ociWithout('index.json'), 'INVALID_ARGUMENT', /it lacks .*index.json/],
  ['oci: an index.json without layout', ociWithout('oci-layout'), 'INVALID_ARGUMENT', /it lacks oci-layout/],
  ['oci: another version', merged(oci, { 'oci-layout': '{"imageLayoutVersion":"2.0.0"}' }), 'INVALID_ARGUMENT', /imageLayoutVersion is "2.0.0"/],
  ['oci: no image', ociIndex(() => []), 'INVALID_ARGUMENT', /no image in it/],
  ['oci: a missing manifest', ociIndex(() => [missingDescriptor(TYPES.manifest)]), 'CORRUPT', /manifest blob sha256:\w+ is missing/],
  ['oci: a missing nested index', ociIndex(() => [missingDescriptor(TYPES.index)]), 'CORRUPT', /index blob sha256:\w+ is missing/],
  ['oci: a missing config', ociWithout(blob(image.config)), 'CORRUPT', /config blob sha256:\w+ is missing/],
  ['oci: a missing layer', ociWithout(blob(gzipSync(top))), 'CORRUPT', /layer blob sha256:\w+ is missing/],
  ['oci: a missing foreign layer', ociManifest({ layers: [missingDescriptor('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'), missingDescriptor(TYPES.tar)] }), 'CORRUPT', /foreign layer blob sha256:\w+ is missing/],
  ['oci: a config of other content', ociChanged(image.config, Buffer.from(image.config.toString().replace('2024', '2025'))), 'CORRUPT', /digest mismatch/],
  ['oci: a layer of another size', ociChanged(gzipSync(top), 'x'), 'CORRUPT', /has 1 bytes where its descriptor says/],
  ['oci: a config of another size', ociChanged(image.config, '{}'), 'CORRUPT', /has 2 bytes where/],
  ['oci: a digest that leads out', ociManifest({}, { digest: `sha256:../../../../${A}` }), 'INVALID_ARGUMENT', /malformed digest/],
  ['oci: a digest of another algorithm', ociManifest({}, { digest: `sha512:${A}${A}` }), 'INVALID_ARGUMENT', /malformed digest/],
  ['oci: a digest in capitals', ociManifest({}, { digest: `sha256:${A.toUpperCase()}` }), 'INVALID_ARGUMENT', /malformed digest/],
  ['oci: a layer digest that leads out', ociManifest({ layers: [{ mediaType: TYPES.tar, digest: 'sha256:../x', size: 1 }] }), 'INVALID_ARGUMENT', /layers\[0\]": field "digest": malformed/],
  ['oci: a negative size', ociManifest({}, { size: -1 }), 'INVALID_ARGUMENT', /field "size": want a whole number/],
  ['oci: a size that is a text', ociManifest({}, { size: '5' }), 'INVALID_ARGUMENT', /field "size"/],
  ['oci: a manifest that is an index as well', ociManifest({ manifests: [] }), 'INVALID_ARGUMENT', /a manifest with a field "manifests"/],
  ['oci: an index that is a manifest as well', ociIndex((blobs) => [blobs.index([blobs.manifest(image)], {}, { layers: [] })]), 'INVALID_ARGUMENT', /an index with a field "layers"/],
  ['oci: an index.json that is a manifest as well', ociIndex((blobs) => [blobs.manifest(image)], { config: {} }), 'INVALID_ARGUMENT', /an index with a field "config"/],
  ['oci: a manifest that says it is an index', ociManifest({ mediaType: TYPES.index }), 'UNIMPLEMENTED', /unknown media type/],
  ['oci: an index called a manifest', ociIndex((blobs) => [{ ...blobs.index([blobs.manifest(image)]), mediaType: TYPES.manifest }]), 'UNIMPLEMENTED', /unknown media type/],
  ['oci: a manifest whose media type is not its descriptor’s', ociManifest({ mediaType: 'application/vnd.docker.distribution.manifest.v2+json' }), 'INVALID_ARGUMENT', /its descriptor says/],
  ['oci: an unknown manifest type', ociManifest({}, { mediaType: 'application/x' }), 'UNIMPLEMENTED', /unknown media type "application\/x"/],
  ['oci: a manifest of the first schema', ociManifest({}, { mediaType: 'application/vnd.docker.distribution.manifest.v1+json' }), 'UNIMPLEMENTED', /unknown media type/],
  ['oci: an unknown config type', ociManifest({ config: { mediaType: 'application/vnd.wasm.config.v0+json', digest: digestOfBytes(image.config), size: image.config.length } }), 'UNIMPLEMENTED', /config: unknown media type/],
  ['oci: an unknown layer type', ociManifest({ layers: [0, 1].map(() => ({ ...missingDescriptor(`${TYPES.tar}+encrypted`) })) }), 'UNIMPLEMENTED', /layer 0: unknown media type/],
  ['oci: schema version 1', ociManifest({ schemaVersion: 1 }), 'INVALID_ARGUMENT', /"schemaVersion" is 1/],
  ['oci: fewer layers than diff_ids', ociManifest({ layers: [missingDescriptor(TYPES.tar)] }), 'INVALID_ARGUMENT', /2 diff_ids for 1 layers/],
  ['oci: more layers than diff_ids', ociManifest({ layers: [1, 2, 3].map(() => missingDescriptor(TYPES.tar)) }), 'INVALID_ARGUMENT', /2 diff_ids for 3 layers/],
  ['oci: an annotation that is not a string', ociManifest({}, { annotations: { x: 1 } }), 'INVALID_ARGUMENT', /annotations/],
  ['oci: indexes without end', deep(12), 'INVALID_ARGUMENT', /indexes within indexes/],
  ['oci: index.json is too large', merged(oci, { 'index.json': ' '.repeat(10 << 20) }), 'INVALID_ARGUMENT', /more than 9437184 is refused/],
  ['oci: index.json holds no list', ociIndex(() => [], { manifests: {} }), 'INVALID_ARGUMENT', /"manifests": want a list/],
] // biome-ignore format: a table

test('bad input is refused with one line that says what, where and what to do, and nothing stays', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const file = join(dir, 'bad.tar')
  const descriptors = openDescriptors()
  for (const [title, input, code, message] of ROWS) {
    writeFileSync(file, Buffer.isBuffer(input) ? input : tarOf(input))
    const error = await failureOf(openSource(file, { scratch }))
    assert.ok(error instanceof VarveError, `${title}: ${error?.stack}`)
    assert.match(error.message, message, title)
    assert.equal(error.code, code, `${title}: ${error.message}`)
    assert.ok(error.message.includes('bad.tar'), `${title}: ${error.message}`)
    assert.ok(!error.message.includes('\n') && error.message.length < 800, `${title}: ${error.message}`)
    assert.deepEqual(readdirSync(scratch), [], title)
  }
  await assertNoneLeft(descriptors)
})

test('bad input as a folder is refused like bad input as an archive', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const folder = join(dir, 'bad.tar')
  for (const [title, input, code, message] of ROWS) {
    // Not cases of links in a tar; a folder without a layout is a case below.
    if (Buffer.isBuffer(input) || Object.values(input).some((value) => /^[-=]>/.test(String(value)))) continue
    writeFolder(folder, input)
    const error = await failureOf(openSource(folder, { scratch }))
    assert.ok(error instanceof VarveError, `${title}: ${error?.stack}`)
    assert.match(error.message, message, title)
    assert.equal(error.code, code, title)
    rmSync(folder, { recursive: true })
  }
})

test('an archive that is cut off anywhere is refused', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const file = join(dir, 'cut.tar')
  const archives: readonly (readonly [string, Buffer])[] = [
    ['docker', tarOf(docker)],
    ['oci', tarOf(oci)],
    ['v1', tarOf(v1())],
    ['docker with its index at the front', tarOf(Object.fromEntries(Object.entries(docker).reverse()))],
    ['gzip of docker', gzipSync(tarOf(docker))],
    ['gzip of oci', gzipSync(tarOf(oci))],
    ['zstd of oci', execFileSync('zstd', ['-qc'], { input: tarOf(oci) })],
  ]
  for (const [title, bytes] of archives) {
    writeFileSync(file, bytes)
    await (await openSource(file, { scratch })).close()
    const even = Array.from({ length: 50 }, (_, i) => Math.floor((bytes.length * i) / 50))
    const blocks = Array.from({ length: 6 }, (_, i) => bytes.length - 512 * i)
    const places = [...even, ...blocks.slice(1), ...blocks.map((at) => at - 1)].filter((at) => at >= 0)
    for (const at of places) {
      writeFileSync(file, bytes.subarray(0, at))
      const error = await failureOf(openSource(file, { scratch }))
      assert.ok(
        error instanceof VarveError,
        `${title} cut at ${at} of ${bytes.length}: ${error?.stack ?? 'accepted'}`,
      )
      assert.match(
        error.code,
        at < 512 ? /CORRUPT|INVALID_ARGUMENT/ : /CORRUPT/,
        `${title} cut at ${at}: ${error.message}`,
      )
    }
  }
  assert.deepEqual(readdirSync(scratch), [])
})

test('a layout folder reads nothing outside it', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const rows = [
    ['a symlink to a file outside', (path: string) => symlinkSync(join(dir, 'secret'), path)],
    ['a symlink that climbs', (path: string) => symlinkSync('../../../secret', path)],
    ['a fifo', (path: string) => execFileSync('mkfifo', [path])],
    ['a directory', (path: string) => mkdirSync(path)],
    ['a device', (path: string) => symlinkSync('/dev/zero', path)],
  ] as const
  writeFileSync(join(dir, 'secret'), gzipSync(top))
  for (const [title, make] of rows) {
    const folder = join(dir, 'layout')
    writeFolder(folder, ociWithout(blob(gzipSync(top))))
    make(join(folder, blob(gzipSync(top))))
    await assert.rejects(
      openSource(folder, { scratch }),
      { code: 'CORRUPT', message: /layer blob sha256:\w+ is missing/ },
      title,
    )
    rmSync(folder, { recursive: true })
  }
})

test('a missing source and a folder of something else give different errors', async (t) => {
  const { dir, scratch } = tempDirs(t)
  await assert.rejects(openSource(join(dir, 'none'), { scratch }), {
    code: 'NOT_FOUND',
    message: /none: no such file or folder/,
  })
  await assert.rejects(openSource(dir, { scratch }), {
    code: 'INVALID_ARGUMENT',
    message: /no image in it: it lacks oci-layout/,
  })
  await assert.rejects(openSource(join(dir, 'none'), { scratch, platform: 'x' }), {
    code: 'INVALID_ARGUMENT',
    message: /malformed platform/,
  })
  const empty = async function* () {}
  await assert.rejects(openSource('-', { scratch, stdin: empty() }), {
    code: 'INVALID_ARGUMENT',
    message: /standard input: it is empty/,
  })
  assert.deepEqual(readdirSync(scratch), [])
})

test('an archive packed with --sparse says so', async (t) => {
  const { dir, scratch } = tempDirs(t)
  writeFolder(join(dir, 'd'), dockerWith({ [layerPath]: undefined }))
  mkdirSync(join(dir, 'd', hexOf(base)), { recursive: true })
  execFileSync('truncate', ['-s', '10M', join(dir, 'd', layerPath)])
  execFileSync('tar', ['-cSf', join(dir, 'sparse.tar'), '-C', join(dir, 'd'), '.'])
  await assert.rejects(openSource(join(dir, 'sparse.tar'), { scratch }), {
    code: 'UNIMPLEMENTED',
    message: /sparse/,
  })
})

test('a scratch directory that is full or gone is reported as such', async (t) => {
  const { dir } = tempDirs(t)
  const file = join(dir, 'x.tar.gz')
  writeFileSync(file, gzipSync(tarOf(docker)))
  const error = await failureOf(openSource(file, { scratch: join(dir, 'none') }))
  assert.ok(error instanceof VarveError, String(error))
  assert.match(error.message, /make a file in .*none: ENOENT/)
})

async function failureOf(opening: Promise<{ close(): Promise<void> }>): Promise<Error | undefined> {
  try {
    await (await opening).close()
    return undefined
  } catch (error) {
    return error as Error
  }
}

function merged(content: Content, changes: Readonly<Record<string, Buffer | string | undefined>>): Content {
  const all = Object.entries({ ...content, ...changes })
  return Object.fromEntries(all.filter((entry): entry is [string, Buffer | string] => entry[1] !== undefined))
}

function damagedGzip(): Buffer {
  const bytes = gzipSync(tarOf(docker))
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff
  return bytes
}

/** The second header is damaged; the first entry is a directory. */
function damagedLater(): Buffer {
  const bytes = tarOf({ 'd/': '', ...docker })
  bytes[512 + 150] = 0x37
  return bytes
}
