/** Archives as tools and people really make them; the title says what each one is. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ImageSource, SourceOptions } from '../../../core/formats/read/image.js'
import { openSource } from '../../../core/formats/read/source.js'
import {
  type Content,
  createBlobs,
  digestOfBytes,
  dockerContent,
  type Fields,
  hexOf,
  imageOf,
  layerTar,
  TYPES,
  tarOf,
  tempDirs,
} from './build.js'

const [base, top] = [layerTar('base'), layerTar('top')] as const
const image = imageOf([base, top])
const other = imageOf([base])
const REF = 'org.opencontainers.image.ref.name'
const named = (name: string) => ({ annotations: { [REF]: name } })

/** A docker archive whose config has this file name and whose `manifest.json` has these fields. */
function docker(config: string, item: Fields, conf: Buffer = image.config): Content {
  return { [config]: conf, 'l0.tar': base, 'l1.tar': top, 'manifest.json': JSON.stringify([item]) }
}

const LAYERS = ['l0.tar', 'l1.tar']
const upper = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(upper)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key.toUpperCase(), upper(one)]))
}
const inCapitals = (json: Buffer | string) => Buffer.from(JSON.stringify(upper(JSON.parse(String(json)))))

function capitals(): Content {
  const blobs = createBlobs()
  const config = blobs.put(inCapitals(image.config), TYPES.config)
  const layers = [base, top].map((layer) => blobs.put(layer, TYPES.tar))
  const manifest = { schemaVersion: 2, mediaType: TYPES.manifest, config, layers }
  const manifests = [blobs.put(inCapitals(JSON.stringify(manifest)), TYPES.manifest)]
  const { 'index.json': index = '', 'oci-layout': layout = '', ...rest } = blobs.layout(manifests)
  return { ...rest, 'index.json': inCapitals(index), 'oci-layout': inCapitals(layout) }
}

/** A layout with one more descriptor next to an image in index.json. */
function beside(make: (blobs: ReturnType<typeof createBlobs>, image: Fields) => Fields): Content {
  const blobs = createBlobs()
  const main = blobs.manifest(image)
  return blobs.layout([{ ...main, ...named('app:1') }, make(blobs, main)])
}

const artifact = (configType: string, layerType: string, more: Fields = {}) =>
  beside((blobs, main) => ({
    ...blobs.json(
      {
        schemaVersion: 2,
        mediaType: TYPES.manifest,
        config: blobs.put(Buffer.from('{}'), configType),
        layers: [blobs.put(Buffer.from('x'), layerType)],
        subject: main,
        ...more,
      },
      TYPES.manifest,
    ),
    ...named('app.beside'),
  }))

function inLayout(name: string): Content {
  const blobs = createBlobs()
  return blobs.layout([{ ...blobs.manifest(image), ...named(name) }])
}

const LAYOUT = '{"imageLayoutVersion":"1.0.0"}'

interface Case {
  readonly title: string
  readonly content: Content
  readonly options?: Partial<SourceOptions>
  /** The names of each image. */
  readonly names: readonly (readonly string[])[]
  readonly notices: readonly RegExp[]
}

const CASES: readonly Case[] = [
  { title: 'manifest.json with fields in lower case, of an image builder for Java', content: docker('c.json', { config: 'c.json', repoTags: ['jib:1'], layers: LAYERS }), names: [['jib:1']], notices: [] },
  { title: 'of a field in two spellings the last that is not null', content: docker('c.json', { Config: 'none', Layers: LAYERS, config: 'c.json', CONFIG: null }), names: [[]], notices: [] },
  { title: 'ſ and K are folded as in Go', content: docker('c.json', { Config: 'c.json', RepoTags: ['a:1'], LayerS: null, 'Layerſ': LAYERS }), names: [['a:1']], notices: [] },
  { title: 'every document of a layout in capitals', content: capitals(), names: [[]], notices: [] },
  { title: 'a tag that is pinned', content: docker('c.json', { Config: 'c.json', RepoTags: [`alpine:3@${digestOfBytes('x')}`, `localhost:5000/b@${digestOfBytes('x')}`], Layers: LAYERS }), names: [['alpine:3']], notices: [/without its illegal name "localhost:5000\/b@/] },
  { title: 'an illegal tag beside a legal one', content: docker('c.json', { Config: 'c.json', RepoTags: ['bazel/MyImage:tag', 'ok:1'], Layers: LAYERS }), names: [['ok:1']], notices: [/illegal name "bazel\/MyImage:tag"/] },
  { title: 'an illegal tag, and a name from elsewhere', content: docker('c.json', { Config: 'c.json', RepoTags: ['bazel/MyImage:tag'], Layers: LAYERS }), options: { named: true }, names: [[]], notices: [] },
  { title: 'an illegal tag of one image of two', content: dockerContent([{ ...image, tags: ['Bad'] }, { ...other, tags: ['good:1'] }]), names: [[], ['good:1']], notices: [/illegal name "Bad"/] },
  { title: 'a config whose file name is another digest', content: docker(`${hexOf('other')}.json`, { Config: `${hexOf('other')}.json`, RepoTags: ['a:1'], Layers: LAYERS }), names: [['a:1']], notices: [/its content is sha256:\w+, which is the image's id/] },
  { title: 'an SBOM beside an image', content: artifact('application/vnd.oci.empty.v1+json', 'text/spdx', { artifactType: 'application/example.sbom' }), names: [['app:1']], notices: [/passed over: .*config: unknown media type "application\/vnd.oci.empty/] },
  { title: "a signature, which has an image's config", content: artifact(TYPES.config, 'application/vnd.dev.cosign.simplesigning.v1+json'), names: [['app:1']], notices: [/passed over: .*simplesigning/] },
  { title: 'a chart beside an image', content: artifact('application/vnd.cncf.helm.config.v1+json', 'application/vnd.cncf.helm.chart.content.v1.tar+gzip'), names: [['app:1']], notices: [/passed over: .*helm/] },
  { title: 'an unknown media type in an index', content: beside((blobs) => blobs.put(Buffer.from('x'), 'application/x')), names: [['app:1']], notices: [/passed over: .*"application\/x"/] },
  { title: 'an attestation beside an image', content: beside((blobs) => ({ ...blobs.manifest(other, { platform: { os: 'unknown', architecture: 'unknown' } }), annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } })), names: [['app:1']], notices: [/an attestation/] },
  { title: 'an image that says it is for an unknown platform', content: beside((blobs) => blobs.manifest(other, { platform: { os: 'unknown', architecture: 'unknown' } })), names: [['app:1'], []], notices: [] },
  { title: 'two manifests of one name', content: beside((blobs) => ({ ...blobs.manifest(other), ...named('app:1') })), names: [['app:1']], notices: [/another manifest for linux\/amd64 that is called "app:1"/] },
  { title: 'two images of one name in two documents', content: { ...beside((blobs, main) => ({ ...main, ...blobs.manifest(image), ...named('app:1') })), ...dockerContent([{ ...other, tags: ['app:1'] }]) }, names: [[], ['app:1']], notices: [/two images are called app:1/] },
  { title: 'a platform that one image of two has', content: dockerContent([{ ...image, tags: ['a:1'] }, { ...imageOf([base], { architecture: 's390x' }), tags: ['b:1'] }]), options: { platform: 'linux/s390x' }, names: [['b:1']], notices: [/a:1: no such platform linux\/s390x: there is linux\/amd64/] },
  { title: 'a layer that lies in another image of the archive', content: merge(dockerContent([{ ...image, tags: ['a:1'] }, { ...other, tags: ['b:1'] }]), [{ Config: `${hexOf(image.config)}.json`, RepoTags: ['a:1'], Layers: ['gone.tar', `${hexOf(top)}/layer.tar`] }, { Config: `${hexOf(other.config)}.json`, RepoTags: ['b:1'], Layers: [`${hexOf(base)}/layer.tar`] }]), names: [['a:1'], ['b:1']], notices: [] },
] // biome-ignore format: a table

/** Empty documents beside one that names the image. */
const BLANKS: readonly Case[] = ['null', '{}', '', ' {\n}\n'].flatMap((blank) => [
  {
    title: `index.json is ${JSON.stringify(blank)}, and manifest.json names an image`,
    content: { ...dockerContent([{ ...image, tags: ['a:1'] }]), 'oci-layout': LAYOUT, 'index.json': blank },
    names: [['a:1']],
    notices: [/index\.json: it names nothing; passed over/],
  },
  {
    title: `manifest.json is ${JSON.stringify(blank)}, and index.json names an image`,
    content: { ...inLayout('a:1'), 'manifest.json': blank },
    names: [['a:1']],
    notices: [/manifest\.json: it names nothing; passed over/],
  },
])

for (const { title, content, options, names, notices } of [...CASES, ...BLANKS]) {
  test(title, async (t) => {
    const { source, told } = await open(t, content, options)
    assert.deepEqual(
      source.images.map((one) => one.names),
      names,
    )
    assert.equal(told.length, notices.length, told.join('\n'))
    for (const [at, notice] of notices.entries()) assert.match(told[at] ?? '', notice)
    for (const one of source.images) for (const { blob } of one.layers) assert.ok(blob)
  })
}

test('an illegal tag of the only image is refused, and the error says what helps', async (t) => {
  const content = docker('c.json', { Config: 'c.json', RepoTags: ['bazel/MyImage:tag'], Layers: LAYERS })
  await assert.rejects(open(t, content), {
    code: 'INVALID_ARGUMENT',
    message: /illegal name "bazel\/MyImage:tag" in "RepoTags": give it another with --name/,
  })
})

test('a layer that an archive lacks is required only if it is not available elsewhere', async (t) => {
  const content = docker('c.json', { Config: 'c.json', RepoTags: ['a:1'], Layers: ['gone.tar', 'l1.tar'] })
  await assert.rejects(open(t, content), { code: 'CORRUPT', message: /layer gone.tar .* is missing/ })
  const asked: (readonly string[])[] = []
  const has = (diffIds: readonly string[]) => asked.push(diffIds) > 0
  const { source } = await open(t, content, { has })
  assert.deepEqual(asked, [[digestOfBytes(base)]])
  assert.deepEqual(
    source.images[0]?.layers.map(({ blob, digest }) => [blob?.size, digest]),
    [
      [undefined, undefined],
      [top.length, undefined],
    ],
  )
})

function merge(content: Content, items: readonly Fields[]): Content {
  return { ...content, 'manifest.json': JSON.stringify(items) }
}

async function open(
  t: TestContext,
  content: Content,
  options: Partial<SourceOptions> = {},
): Promise<{ source: ImageSource; told: readonly string[] }> {
  const { dir, scratch } = tempDirs(t)
  writeFileSync(join(dir, 'source'), tarOf(content))
  const told: string[] = []
  const notice = (message: string) => void told.push(message)
  const source = await openSource(join(dir, 'source'), { scratch, notice, ...options })
  t.after(() => source.close())
  return { source, told }
}
