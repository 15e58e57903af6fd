/**
 * Whatever an archive repeats costs linear time: N and 2 N of each are compared; quantities without a bound have a limit.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openSource } from '../../../core/formats/read/source.js'
import {
  type Content,
  createBlobs,
  dockerContent,
  type Fields,
  hexOf,
  imageOf,
  layerTar,
  tarOf,
  tempDirs,
} from './build.js'

const base = layerTar('base', 100)
const image = imageOf([base])
const ID = (n: number) => n.toString(16).padStart(64, '0')
const range = (n: number) => Array.from({ length: n }, (_, at) => at)

function items(count: number, item: (at: number) => Fields, parts = image): Content {
  const content = dockerContent([parts])
  const all = range(count).map((at) => ({
    Config: `${hexOf(parts.config)}.json`,
    Layers: [`${hexOf(base)}/layer.tar`],
    ...item(at),
  }))
  return { ...content, 'manifest.json': JSON.stringify(all) }
}

function index(make: (blobs: ReturnType<typeof createBlobs>) => readonly Fields[]): Content {
  const blobs = createBlobs()
  return blobs.layout(make(blobs))
}

const REF = 'org.opencontainers.image.ref.name'
const PAD = imageOf([base], { pad: 'x'.repeat(7 << 20) })
const host = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }

interface Quantity {
  readonly title: string
  readonly n: number
  readonly content: (n: number) => Content
}

const QUANTITIES: readonly Quantity[] = [
  { title: 'tags of one image', n: 40_000, content: (n) => items(1, () => ({ RepoTags: range(n).map((at) => `t:${at}`) })) },
  { title: 'one config, each time with another tag', n: 20_000, content: (n) => items(n, (at) => ({ RepoTags: [`t:${at}`] })) },
  { title: 'one large config', n: 100, content: (n) => items(n, () => ({}), PAD) },
  { title: 'descriptors without a name', n: 10_000, content: (n) => index((blobs) => { const one = blobs.manifest(image, { platform: host }); return range(n).map(() => one) }) },
  { title: 'names of one manifest', n: 10_000, content: (n) => index((blobs) => { const one = blobs.manifest(image); return range(n).map((at) => ({ ...one, annotations: { [REF]: `t:${at}` } })) }) },
  { title: 'names of one index', n: 5_000, content: (n) => index((blobs) => { const one = blobs.index([blobs.manifest(image, { platform: host })], {}, { pad: 'x'.repeat(1 << 20) }); return range(n).map((at) => ({ ...one, annotations: { [REF]: `t:${at}` } })) }) },
  { title: 'annotations of a descriptor', n: 40_000, content: (n) => index((blobs) => [blobs.manifest(image, { annotations: Object.fromEntries(range(n).map((at) => [`a${at}`, ''])) })]) },
  { title: 'unknown fields', n: 40_000, content: (n) => items(1, () => Object.fromEntries(range(n).map((at) => [`x${at}`, 1]))) },
  { title: 'entries of history', n: 20_000, content: (n) => dockerContent([imageOf([base], { history: range(n).map(() => ({ created_by: 'x' })) })]) },
  { title: 'entries of the archive', n: 4_000, content: (n) => ({ ...dockerContent([image]), ...Object.fromEntries(range(n).map((at) => [`e/${at}`, ''])) }) },
  { title: 'names of old docker', n: 20_000, content: (n) => ({ [`${ID(1)}/json`]: JSON.stringify({ id: ID(1) }), [`${ID(1)}/layer.tar`]: base, repositories: JSON.stringify({ t: Object.fromEntries(range(n).map((at) => [`v${at}`, ID(1)])) }) }) },
  { title: 'images of old docker on one base', n: 400, content: (n) => ({ [`${ID(1)}/json`]: JSON.stringify({ id: ID(1) }), [`${ID(1)}/layer.tar`]: base, ...Object.fromEntries(range(n).flatMap((at) => [[`${ID(at + 2)}/json`, JSON.stringify({ id: ID(at + 2), parent: ID(1) })], [`${ID(at + 2)}/layer.tar`, `->../${ID(1)}/layer.tar`]])) }) },
] // biome-ignore format: a table

for (const { title, n, content } of QUANTITIES) {
  test(`twice as much takes at most about three times as long: ${title}`, async (t) => {
    const { scratch, files } = twoFiles(t, [content(n), content(2 * n)])
    const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    // The best of a few runs, until one is right, since other work on the machine may slow down any of them.
    for (let run = 0; run < 8; run++) {
      for (const [at, file] of files.entries()) {
        const start = process.cpuUsage()
        await (await openSource(file, { scratch })).close()
        const { user, system } = process.cpuUsage(start)
        best[at] = Math.min(best[at] ?? 0, (user + system) / 1000)
      }
      const [once = 0, twice = 0] = best
      // Quadratic work would be four times as much, and at these sizes a multiple of 20 ms.
      if (run > 0 && (twice < 20 || twice <= 3 * once)) return
    }
    assert.fail(`${best.map((ms) => ms.toFixed(1)).join(' ms, then ')} ms`)
  })
}

const LIMITS: readonly (readonly [title: string, content: () => Content, code: string, message: RegExp])[] = [
  ['a document of too many values', () => items(1, () => ({ RepoTags: null, x: range(600_000) })), 'RESOURCE_EXHAUSTED', /manifest.json: more than 500000 values/],
  ['a document nested too deep', () => ({ ...dockerContent([image]), 'manifest.json': '['.repeat(1 << 20) }), 'INVALID_ARGUMENT', /nested more than 1000 deep/],
  ['documents that are too large together', () => dockerContent(range(5).map((at) => imageOf([base], { pad: 'x'.repeat(7 << 20), at }))), 'RESOURCE_EXHAUSTED', /more than 33554432 bytes together/],
  ['an image of too many layers', () => dockerContent([imageOf(range(1_001).map(() => base))]), 'RESOURCE_EXHAUSTED', /1001 layers: the most is 1000/],
  ['names of one index of many manifests', () => index((blobs) => { const one = blobs.index([blobs.manifest(image, { platform: host }), ...range(1_000).map((at) => ({ mediaType: 'application/x', digest: `sha256:${ID(at)}`, size: 1, platform: host }))]); return range(100).map((at) => ({ ...one, annotations: { [REF]: `t:${at}` } })) }), 'RESOURCE_EXHAUSTED', /name more than 100000 manifests/],
  ['indexes within indexes', () => index((blobs) => { let one = blobs.manifest(image); for (let depth = 0; depth < 10; depth++) one = blobs.index([one]); return [one] }), 'INVALID_ARGUMENT', /more than 8 deep/],
  ['a parent of itself', () => ({ [`${ID(1)}/json`]: JSON.stringify({ id: ID(1), parent: ID(1) }), [`${ID(1)}/layer.tar`]: base }), 'INVALID_ARGUMENT', /chain of parents has no end/],
  ['images of old docker with too many layers together', () => deepV1(900, 300), 'RESOURCE_EXHAUSTED', /more than 200000 layers together/],
] // biome-ignore format: a table

for (const [title, content, code, message] of LIMITS) {
  test(`refused quickly: ${title}`, async (t) => {
    const { scratch, files } = twoFiles(t, [content()])
    await assert.rejects(openSource(files[0] ?? '', { scratch }), { code, message })
  })
}

/** A chain of layers, and images on top of it. */
function deepV1(depth: number, heads: number): Content {
  const layer = (at: number, parent: number | undefined) => [
    [`${ID(at)}/json`, JSON.stringify({ id: ID(at), ...(parent !== undefined && { parent: ID(parent) }) })],
    [`${ID(at)}/layer.tar`, at === 0 ? base : `->../${ID(0)}/layer.tar`],
  ]
  return Object.fromEntries([
    ...range(depth).flatMap((at) => layer(at, at === 0 ? undefined : at - 1)),
    ...range(heads).flatMap((at) => layer(depth + at, depth - 1)),
  ])
}

function twoFiles(t: TestContext, contents: readonly Content[]) {
  const { dir, scratch } = tempDirs(t)
  const files = contents.map((content, at) => {
    writeFileSync(join(dir, `${at}`), tarOf(content))
    return join(dir, `${at}`)
  })
  return { scratch, files }
}
