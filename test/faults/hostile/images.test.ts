/**
 * Images by attack, as data. Each is refused with a clear error or imported without harm; nothing beside the store changes.
 */
import assert from 'node:assert/strict'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type ErrorCode, VarveError } from '../../../core/errors.js'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
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
  writeFolder,
} from '../../unit/formats/build.js'
import { countCases } from '../size.js'

const base = layerTar('base')
const image = imageOf([base])
const A = 'a'.repeat(64)
const config = `${hexOf(image.config)}.json`
const layer = `${hexOf(base)}/layer.tar`
const docker = dockerContent([{ ...image, tags: ['a:1'] }])

const item = (change: Fields): Content => ({
  ...docker,
  'manifest.json': JSON.stringify([{ Config: config, RepoTags: ['a:1'], Layers: [layer], ...change }]),
})
const v1 = (id: string, json: Fields, tar: Buffer | string = base): Content => ({
  [`${id}/json`]: JSON.stringify(json),
  [`${id}/layer.tar`]: tar,
})
const manifest = (change: Fields, more: Fields = {}): Content => {
  const blobs = createBlobs()
  return blobs.layout([{ ...blobs.manifest(image, {}, change), ...more }])
}
const descriptor = (change: Fields): Fields => ({
  mediaType: TYPES.tar,
  digest: digestOfBytes(base),
  size: base.length,
  ...change,
})

type Row = readonly [title: string, content: Content, code: ErrorCode | 'in']

const ROWS: readonly Row[] = [
  ['a layer id that climbs (CVE-2014-9358)', { ...v1('../../sentinel', { id: '../../sentinel' }), repositories: JSON.stringify({ a: { 1: '../../sentinel' } }) }, 'INVALID_ARGUMENT'],
  ['an id in json that climbs', v1(A, { id: '../../../sentinel/x' }), 'INVALID_ARGUMENT'],
  ['a parent that climbs', v1(A, { id: A, parent: '../../sentinel' }), 'INVALID_ARGUMENT'],
  ['a layer that is its own parent', v1(A, { id: A, parent: A }), 'INVALID_ARGUMENT'],
  ['a v1 json with its own diff ids', v1(A, { id: A, RootFS: { type: 'layers', diff_ids: [digestOfBytes('x')] }, 'rootfſ': { type: 'layers', diff_ids: [] } }), 'in'],
  ['a config path that climbs', item({ Config: '../sentinel/file' }), 'INVALID_ARGUMENT'],
  ['an absolute config path', item({ Config: '/etc/passwd' }), 'INVALID_ARGUMENT'],
  ['a layer path that climbs', item({ Layers: ['../sentinel/file'] }), 'INVALID_ARGUMENT'],
  ['a layer path with NUL', item({ Layers: [`${layer}\0`] }), 'INVALID_ARGUMENT'],
  ['a layer that is a symlink out', { ...docker, [layer]: '->../../../../sentinel/file' }, 'INVALID_ARGUMENT'],
  ['a layer that is an absolute symlink', { ...docker, [layer]: '->/etc/passwd' }, 'INVALID_ARGUMENT'],
  ['a layer that is a hard link out', { ...docker, [layer]: '=>../sentinel/file' }, 'INVALID_ARGUMENT'],
  ['an outer archive with names that climb out', { '../sentinel/new': 'x', '/sentinel/new': 'x', ...docker }, 'in'],
  ['an entry twice, of which the last counts', { ...docker, './manifest.json': '[]' }, 'INVALID_ARGUMENT'],
  ['a tag that climbs', item({ RepoTags: ['../../sentinel:1'] }), 'INVALID_ARGUMENT'],
  ['a tag like an id', item({ RepoTags: [`${A}:1`] }), 'INVALID_ARGUMENT'],
  ['a digest that climbs (CVE-2024-3727)', manifest({}, { digest: `sha256:../../../sentinel/${A}` }), 'INVALID_ARGUMENT'],
  ['a digest without an algorithm', manifest({}, { digest: A }), 'INVALID_ARGUMENT'],
  ['a layer digest that climbs', manifest({ layers: [descriptor({ digest: 'sha256:../../sentinel/file' })] }), 'INVALID_ARGUMENT'],
  ['a config digest that climbs', manifest({ config: { mediaType: TYPES.config, digest: '../../sentinel/file', size: 1 } }), 'INVALID_ARGUMENT'],
  ['a size that lies', manifest({}, { size: 1 }), 'CORRUPT'],
  ['a size beyond reason', manifest({}, { size: 1e300 }), 'INVALID_ARGUMENT'],
  ['a layer size that lies', manifest({ layers: [descriptor({ digest: digestOfBytes(gzipSync(base)), size: 5 })] }), 'CORRUPT'],
  ['a manifest that is an index too (CVE-2021-41190)', manifest({ manifests: [] }), 'INVALID_ARGUMENT'],
  ['… by another case', manifest({ MANIFESTS: [] }), 'INVALID_ARGUMENT'],
  ['a manifest called an index', manifest({}, { mediaType: TYPES.index }), 'UNIMPLEMENTED'],
  ['a diff id of other content', dockerContent([{ ...imageOf([layerTar('other')]), layers: [base], tags: ['a:1'] }]), 'CORRUPT'],
  ['more diff ids than layers', item({ Layers: [] }), 'INVALID_ARGUMENT'],
  ['more layers than diff ids', item({ Layers: [layer, layer] }), 'INVALID_ARGUMENT'],
  ['no layers at all', dockerContent([{ ...imageOf([]), tags: ['a:1'] }]), 'in'],
  ['a config that is a bomb of lists', { ...docker, [config]: '['.repeat(4 << 20) }, 'CORRUPT'],
  ['a config that hides its fields', dockerContent([{ layers: [base], config: Buffer.from('{"__proto__":{"rootfs":{"type":"layers","diff_ids":[]}}}') }]), 'INVALID_ARGUMENT'],
  ['escapes in every field that is shown', dockerContent([{ ...imageOf([base], { os: '\x1b[31m\n', architecture: '\u202e\x07' }), tags: ['a:1'] }]), 'in'],
] // biome-ignore format: a table

test('hostile images change nothing beside the store, and are refused with a clear error', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'varve-images-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  mkdirSync(join(dir, 'sentinel'))
  writeFileSync(join(dir, 'sentinel/file'), base)
  symlinkSync('file', join(dir, 'sentinel/link'))
  const store = await openStore({ root: join(dir, 'root'), drivers, driver: 'vfs' })
  const before = snapshotOf(dir)
  let descriptors = 0
  try {
    // The first pass starts threads, which stay; the second must leave nothing more.
    for (const [title, content, expected] of [...ROWS, ...ROWS]) {
      if (title === ROWS[0]?.[0]) descriptors = openDescriptors()
      writeFileSync(join(dir, 'image.tar'), tarOf(content))
      const started = performance.now()
      assert.equal(await outcome(() => store.importImage(join(dir, 'image.tar'))), expected, title)
      assert.ok(performance.now() - started < 60_000, `${title}: it took long`)
      assert.deepEqual(snapshotOf(dir), before, title)
    }
    await assertNoneLeft(descriptors)
    for await (const finding of store.check({ data: true })) assert.fail(finding.message)
  } finally {
    await store.close()
  }
  countCases(t, ROWS.length)
})

test('a layout in a folder reads nothing outside, wherever its links lead', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'varve-images-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const store = await openStore({ root: join(dir, 'root'), drivers, driver: 'vfs' })
  const content = ociContent(image, 'a:1')
  const paths = Object.keys(content).filter((path) => !path.endsWith('/'))
  try {
    for (const path of paths) {
      const folder = join(dir, 'layout')
      writeFolder(folder, content)
      writeFileSync(join(dir, 'outside'), content[path] as Buffer | string)
      rmSync(join(folder, path))
      symlinkSync(join(dir, 'outside'), join(folder, path))
      assert.notEqual(await outcome(() => store.importImage(folder)), 'in', path)
      rmSync(folder, { recursive: true })
    }
    assert.deepEqual(store.layers(), [])
  } finally {
    await store.close()
  }
  countCases(t, paths.length)
})

async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'in'
  } catch (error) {
    assert.ok(error instanceof VarveError, String((error as Error).stack))
    assert.ok(!error.message.includes('\n'), error.message)
    return error.code
  }
}

/** Everything in the folder but the store and the image. */
function snapshotOf(dir: string): readonly string[] {
  const names = readdirSync(dir).filter((name) => name !== 'image.tar')
  const sentinel = readdirSync(join(dir, 'sentinel')).map((name) => {
    const { mode, ino, mtimeMs } = lstatSync(join(dir, 'sentinel', name))
    return `${name} ${mode} ${ino} ${mtimeMs} ${hexOf(readFileSync(join(dir, 'sentinel', name)))}`
  })
  return [...names, ...sentinel]
}
