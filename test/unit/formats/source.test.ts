import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Blob } from '../../../core/compress/blob.js'
import type { ImageSource, SourceOptions } from '../../../core/formats/read/image.js'
import { hostPlatform } from '../../../core/formats/read/platform.js'
import { openArchiveFile, openSource } from '../../../core/formats/read/source.js'
import { which } from '../../../core/sys/exec.js'
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

const [base, middle, top] = [layerTar('base'), layerTar('middle'), layerTar('top')] as const
const image = imageOf([base, middle])
const other = imageOf([base, top], { author: 'other' })

test('a docker archive of several images that share layers', async (t) => {
  const content = dockerContent([
    { ...image, tags: ['docker.io/library/app:1', 'app:latest'] },
    { ...other, tags: null },
  ])
  const source = await open(t, tarOf(content))
  assert.equal(source.kind, 'docker-archive')
  assert.deepEqual(
    source.images.map((one) => one.names),
    [['app:1', 'app:latest'], []],
  )
  const [first, second] = source.images
  assert.ok(first && second)
  assert.deepEqual(first.config, image.config)
  assert.equal(first.configDigest, digestOfBytes(image.config))
  assert.equal(first.platform, 'linux/amd64')
  assert.equal(first.created, '2024-01-02T03:04:05Z')
  assert.deepEqual(first.diffIds, [digestOfBytes(base), digestOfBytes(middle)])
  assert.deepEqual(layersOf(first), [base, middle])
  assert.deepEqual(layersOf(second), [base, top])
  assert.equal(first.layers[0]?.blob?.offset, second.layers[0]?.blob?.offset)
})

test('the same image is found whatever it is packed in', async (t) => {
  const docker = dockerContent([{ ...image, tags: ['app:1'] }])
  const oci = ociContent(image, 'app:1')
  const { dir } = tempDirs(t)
  for (const [name, content] of [
    ['docker', docker],
    ['oci', oci],
  ] as const) {
    writeFolder(join(dir, name), content)
    writeFileSync(join(dir, `${name}.tar`), tarOf(content))
    writeFileSync(join(dir, `${name}.gz`), gzipSync(tarOf(content)))
    writeFileSync(join(dir, `${name}.zst`), execFileSync('zstd', ['-qc'], { input: tarOf(content) }))
    writeFileSync(join(dir, `${name}.dots`), tarOf(prefixed(content, './')))
    execFileSync('tar', ['-cf', `${name}.gnu`, '-C', name, '.'], { cwd: dir })
  }
  const kinds: string[] = []
  for (const name of readdirSync(dir).sort()) {
    if (name === 'scratch') continue
    const source = await openSource(join(dir, name), options(t))
    kinds.push(`${name} ${source.kind}`)
    const [only] = source.images
    assert.deepEqual([source.images.length, only?.names, only?.config], [1, ['app:1'], image.config], name)
    assert.deepEqual(
      layersOf(only),
      name.startsWith('oci') ? [base, middle].map((tar) => gzipSync(tar)) : [base, middle],
      name,
    )
    await source.close()
    await source.close()
  }
  assert.deepEqual(kinds, [
    'docker docker-archive', 'docker.dots docker-archive', 'docker.gnu docker-archive', 'docker.gz docker-archive',
    'docker.tar docker-archive', 'docker.zst docker-archive', 'oci oci-layout', 'oci.dots oci-archive',
    'oci.gnu oci-archive', 'oci.gz oci-archive', 'oci.tar oci-archive', 'oci.zst oci-archive',
  ]) // biome-ignore format: a table
})

test('standard input and a pipe are spooled, and nothing stays in the scratch', async (t) => {
  const tar = tarOf(ociContent(image, 'app:1'))
  const setup = options(t)
  const stdin = async function* () {
    for (let at = 0; at < tar.length; at += 777) yield tar.subarray(at, at + 777)
  }
  const reports: string[] = []
  const source = await openSource('-', {
    ...setup,
    stdin: stdin(),
    progress: ({ step }) => reports.push(step),
  })
  assert.deepEqual(source.images[0]?.names, ['app:1'])
  assert.deepEqual(readdirSync(setup.scratch), [])
  assert.ok(reports.every((step) => step === 'read standard input'))
  await source.close()

  const fifo = join(tempDirs(t).dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  const fed = import('node:fs/promises').then(({ writeFile }) => writeFile(fifo, gzipSync(tar)))
  const fromFifo = await openSource(fifo, setup)
  await fed
  assert.deepEqual(fromFifo.images[0]?.config, image.config)
  assert.deepEqual(readdirSync(setup.scratch), [])
  await fromFifo.close()
})

test('a scratch directory may have any name', async (t) => {
  const { dir } = tempDirs(t)
  const scratch = Buffer.concat([Buffer.from(`${dir}/é`), Buffer.from([0xff])])
  mkdirSync(scratch)
  writeFileSync(join(dir, 'ü.tar.gz'), gzipSync(tarOf(ociContent(image))))
  const source = await openSource(join(dir, 'ü.tar.gz'), { scratch: scratch.toString('latin1') })
  assert.deepEqual(source.images[0]?.config, image.config)
  await source.close()
})

test('archives of skopeo are read', {
  skip: which('skopeo') === undefined && 'skopeo is not installed',
}, async (t) => {
  const { dir } = tempDirs(t)
  writeFolder(join(dir, 'layout'), ociContent(image, 'app'))
  for (const [transport, names] of [
    ['docker-archive:%:ghcr.io/x/app:1', ['ghcr.io/x/app:1']],
    ['oci-archive:%:ghcr.io/x/app:2', ['ghcr.io/x/app:2']],
    ['oci:%:app', ['app:latest']],
  ] as const) {
    const out = join(dir, transport.slice(0, transport.indexOf(':')))
    execFileSync('skopeo', [
      '--insecure-policy',
      'copy',
      '-q',
      `oci:${dir}/layout:app`,
      transport.replace('%', out),
    ])
    const source = await openSource(out, options(t))
    const [only] = source.images
    assert.deepEqual(only?.names, names)
    assert.deepEqual(only?.diffIds, [digestOfBytes(base), digestOfBytes(middle)])
    assert.deepEqual(
      layersOf(only),
      transport.startsWith('docker') ? [base, middle] : [base, middle].map((tar) => gzipSync(tar)),
    )
    await source.close()
  }
})

test('an abort ends the wait for a pipe without a writer', async (t) => {
  const fifo = join(tempDirs(t).dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  const silent = async function* () {
    yield base
    await new Promise(() => {})
  }
  for (const [source, stdin] of [
    [fifo, undefined],
    ['-', silent()],
  ] as const) {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 50)
    await assert.rejects(openSource(source, { ...options(t), stdin, signal: controller.signal }), {
      code: 'CANCELLED',
    })
  }
  writeFileSync(fifo, '') // releases the thread that is still waiting
})

test('layers that are links of older docker archives are found inside the archive', async (t) => {
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((char) => char.repeat(64)) as [string, string, string, string]
  const parts = imageOf([base, base, base, base])
  const content = {
    [`${a}/layer.tar`]: base,
    [`${b}/layer.tar`]: `->../${a}/layer.tar`,
    [`${c}/layer.tar`]: `=>${a}/layer.tar`,
    [`${d}/layer.tar`]: `->./../x/../${b}/layer.tar`,
    [`${hexOf(parts.config)}.json`]: parts.config,
    'manifest.json': JSON.stringify([
      {
        Config: `${hexOf(parts.config)}.json`,
        RepoTags: ['app:1'],
        Layers: [a, b, c, d].map((id) => `${id}/layer.tar`),
      },
    ]),
  }
  const source = await open(t, tarOf(content))
  assert.deepEqual(layersOf(source.images[0]), [base, base, base, base])
})

test('a later entry of the same name wins, as in any tar', async (t) => {
  const tar = tarOf(dockerContent([{ ...image, tags: ['new:1'] }]))
  const old = tarOf(dockerContent([{ ...image, tags: ['old:1'] }]))
  const source = await open(t, Buffer.concat([old.subarray(0, -1024), tar]))
  assert.deepEqual(source.images[0]?.names, ['new:1'])
})

test('an archive whose layers are compressed, as crane writes them, is a docker archive too', async (t) => {
  const config = `sha256:${hexOf(image.config)}`
  const content = {
    [config]: image.config,
    'l1.tar.gz': gzipSync(base),
    'l2.tar.gz': gzipSync(middle),
    'manifest.json': JSON.stringify([
      { Config: config, RepoTags: ['app:1'], Layers: ['l1.tar.gz', 'l2.tar.gz'] },
    ]),
  }
  assert.deepEqual(layersOf((await open(t, tarOf(content))).images[0]), [gzipSync(base), gzipSync(middle)])
})

test('docker before 1.10: the config is made from the top layer, diff ids by hashing', async (t) => {
  const [id1, id2, id3] = ['1', '2', '3'].map((char) => char.repeat(64)) as [string, string, string]
  const v1 = (id: string, parent: string | undefined, layer: Buffer | string) => ({
    [`${id}/`]: '',
    [`${id}/VERSION`]: '1.0',
    [`${id}/json`]: JSON.stringify({
      id, parent, created: '2015-01-01T00:00:00Z', os: 'linux', architecture: 'amd64', Size: 5,
      container_config: { Cmd: ['/bin/sh', '-c', `step ${id[0]}`] }, config: { Cmd: ['sh'] },
    }), // biome-ignore format: short
    [`${id}/layer.tar`]: layer,
  })
  const content: Content = {
    ...v1(id1, undefined, base),
    ...v1(id2, id1, middle),
    ...v1(id3, id1, `->../${id2}/layer.tar`),
    repositories: JSON.stringify({ 'docker.io/library/app': { 1: id2, 2: id3, latest: id3 } }),
  }
  const source = await open(t, tarOf(content))
  assert.equal(source.kind, 'docker-archive')
  assert.deepEqual(source.images.length, 2)
  const [first, second] = source.images
  assert.deepEqual([first?.names, second?.names], [['app:1'], ['app:2', 'app:latest']])
  assert.deepEqual(layersOf(first), [base, middle])
  assert.deepEqual(first?.diffIds, [digestOfBytes(base), digestOfBytes(middle)])
  assert.equal(first?.configDigest, digestOfBytes(first?.config ?? ''))
  assert.deepEqual(JSON.parse(String(first?.config)), {
    architecture: 'amd64',
    config: { Cmd: ['sh'] },
    container_config: { Cmd: ['/bin/sh', '-c', 'step 2'] },
    created: '2015-01-01T00:00:00Z',
    history: ['1', '2'].map((step) => ({
      created: '2015-01-01T00:00:00Z',
      created_by: `/bin/sh -c step ${step}`,
    })),
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [digestOfBytes(base), digestOfBytes(middle)] },
  })
  const { repositories: _, ...untagged } = content
  const heads = await open(t, tarOf(untagged))
  assert.deepEqual(
    heads.images.map((one) => one.names),
    [[], []],
  )
})

test('docker 25 and later write both a layout and manifest.json: the tags of both are kept', async (t) => {
  const blobs = createBlobs()
  const plain = (parts: typeof image) =>
    blobs.manifest(parts, {}, { layers: parts.layers.map((layer) => blobs.put(layer, TYPES.tar)) })
  const named = {
    ...plain(image),
    annotations: {
      'io.containerd.image.name': 'docker.io/library/app:1',
      'org.opencontainers.image.ref.name': '1',
    },
  }
  const content: Content = {
    ...blobs.layout([named, plain(other)]),
    'manifest.json': JSON.stringify(
      [image, other].map((parts, index) => ({
        Config: `blobs/sha256/${hexOf(parts.config)}`,
        RepoTags: index === 0 ? ['app:1', 'app:stable'] : ['other:1'],
        Layers: parts.layers.map((layer) => `blobs/sha256/${hexOf(layer)}`),
      })),
    ),
  }
  const source = await open(t, tarOf(content))
  assert.deepEqual(
    source.images.map((one) => one.names),
    [['app:1', 'app:stable'], ['other:1']],
  )
  assert.deepEqual(source.images.map(layersOf), [
    [base, middle],
    [base, top],
  ])
  // The same without the layout: the names in blobs/ are the layers' digests.
  const { 'index.json': _, 'oci-layout': __, ...docker } = content
  const old = await open(t, tarOf(docker))
  assert.deepEqual(
    old.images[0]?.layers.map((layer) => layer.digest),
    [digestOfBytes(base), digestOfBytes(middle)],
  )
})

test('an OCI image has its manifest and the digests of its layers', async (t) => {
  const content = ociContent(image, 'localhost/app:1')
  const [only] = (await open(t, tarOf(content))).images
  assert.ok(only?.manifest)
  assert.ok(Object.hasOwn(content, `blobs/sha256/${hexOf(only.manifest)}`))
  assert.deepEqual(
    only.layers.map((layer) => layer.digest),
    [gzipSync(base), gzipSync(middle)].map(digestOfBytes),
  )
  assert.deepEqual(
    only.layers.map((layer) => layer.mediaType),
    [TYPES.gzip, TYPES.gzip],
  )
})

test('names are taken from the annotations that tools write', async (t) => {
  const rows: readonly (readonly [Fields, readonly string[]])[] = [
    [{ 'org.opencontainers.image.ref.name': 'docker.io/library/app:1' }, ['app:1']],
    [{ 'org.opencontainers.image.ref.name': 'app' }, ['app:latest']],
    [{ 'org.opencontainers.image.ref.name': 'latest' }, []],
    [{ 'org.opencontainers.image.ref.name': '3.18' }, []],
    [{ 'org.opencontainers.image.ref.name': 'v1.2' }, []],
    [{ 'org.opencontainers.image.ref.name': 'Not A Name' }, []],
    [
      { 'io.containerd.image.name': 'ghcr.io/x/y:z', 'org.opencontainers.image.ref.name': 'z' },
      ['ghcr.io/x/y:z'],
    ],
    [{}, []],
  ]
  for (const [annotations, names] of rows) {
    const blobs = createBlobs()
    const source = await open(t, tarOf(blobs.layout([blobs.manifest(image, { annotations })])))
    assert.deepEqual(source.images[0]?.names, names)
  }
})

test('one image under two names is one image with two names', async (t) => {
  const blobs = createBlobs()
  const named = (name: string) =>
    blobs.manifest(image, { annotations: { 'org.opencontainers.image.ref.name': name } })
  const source = await open(t, tarOf(blobs.layout([named('a:1'), named('b:1'), named('a:1')])))
  assert.deepEqual(
    source.images.map((one) => one.names),
    [['a:1', 'b:1']],
  )
})

test('an index is resolved by platform, to any sensible depth, without attestations', async (t) => {
  const of = (architecture: string, variant?: string) => imageOf([base], { architecture, variant })
  const blobs = createBlobs()
  const list = [
    ['arm', 'v6'], ['amd64', undefined], ['arm64', 'v8'], ['arm', 'v5'], ['386', undefined],
  ] as const // biome-ignore format: a table
  const manifests = list.map(([architecture, variant]) =>
    blobs.manifest(of(architecture, variant), { platform: { os: 'linux', architecture, variant } }),
  )
  const attestation = blobs.manifest(image, {
    platform: { os: 'unknown', architecture: 'unknown' },
    annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
  })
  const nested = blobs.index([blobs.index([...manifests, attestation])], {
    annotations: { 'org.opencontainers.image.ref.name': 'app:1' },
  })
  const unsaid = blobs.index(list.map(([architecture, variant]) => blobs.manifest(of(architecture, variant))))
  const signed = blobs.index([
    ...manifests,
    blobs.manifest(
      { layers: [], config: Buffer.from('{}') },
      {},
      { config: blobs.put(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json') },
    ),
  ])
  const rows: readonly (readonly [string, string | undefined, string])[] = [
    ['this machine', undefined, hostPlatform()],
    ['amd64', 'linux/amd64', 'linux/amd64'],
    ['arm64', 'linux/arm64', 'linux/arm64'],
    ['arm64/v8', 'linux/arm64/v8', 'linux/arm64'],
    ['arm, falling back to v6', 'linux/arm', 'linux/arm/v6'],
    ['arm/v5', 'linux/arm/v5', 'linux/arm/v5'],
    ['386', 'linux/386', 'linux/386'],
  ]
  for (const layout of [[nested], [unsaid], manifests, [signed]]) {
    const tar = tarOf(blobs.layout(layout))
    for (const [title, platform, expected] of rows) {
      const source = await open(t, tar, { platform })
      assert.deepEqual(
        source.images.map((one) => one.platform),
        [expected],
        title,
      )
    }
    await assert.rejects(open(t, tar, { platform: 'linux/s390x' }), {
      code: 'NOT_FOUND',
      message:
        /no such platform linux\/s390x: there is linux\/386, linux\/amd64, linux\/arm\/v5, linux\/arm\/v6, linux\/arm64/,
    })
  }
})

test('a single image of another platform is accepted, unless a platform is requested', async (t) => {
  const foreign = imageOf([base], { architecture: 's390x' })
  for (const content of [ociContent(foreign, 'app:1'), dockerContent([{ ...foreign, tags: ['app:1'] }])]) {
    assert.equal((await open(t, tarOf(content))).images[0]?.platform, 'linux/s390x')
    assert.equal((await open(t, tarOf(content), { platform: 'linux/s390x' })).images.length, 1)
    await assert.rejects(open(t, tarOf(content), { platform: 'linux/amd64' }), {
      code: 'NOT_FOUND',
      message: /no such platform linux\/amd64: there is linux\/s390x/,
    })
  }
})

test('the blobs of other platforms may be missing', async (t) => {
  const blobs = createBlobs()
  const here = blobs.manifest(image, { platform: { os: 'linux', architecture: 'amd64' } })
  const gone = { ...here, digest: digestOfBytes('gone'), platform: { os: 'linux', architecture: 'arm64' } }
  const tar = tarOf(blobs.layout([blobs.index([gone, here])]))
  assert.equal((await open(t, tar, { platform: 'linux/amd64' })).images.length, 1)
  await assert.rejects(open(t, tar, { platform: 'linux/arm64' }), {
    code: 'NOT_FOUND',
    message: /no such platform linux\/arm64: there is linux\/amd64 .*manifest blob sha256:\w+ is missing/,
  })
})

test("docker's media types are read like OCI's", async (t) => {
  const blobs = createBlobs()
  const type = 'application/vnd.docker.distribution.manifest.v2+json'
  const manifest = {
    schemaVersion: 2,
    mediaType: type,
    config: blobs.put(image.config, 'application/vnd.docker.container.image.v1+json'),
    layers: [
      blobs.put(gzipSync(base), 'application/vnd.docker.image.rootfs.diff.tar.gzip'),
      blobs.put(middle, 'application/vnd.docker.image.rootfs.foreign.diff.tar'),
    ],
  }
  const list = blobs.json(
    {
      schemaVersion: 2,
      manifests: [blobs.json(manifest, type, { platform: { os: 'linux', architecture: 'amd64' } })],
    },
    'application/vnd.docker.distribution.manifest.list.v2+json',
  )
  const source = await open(t, tarOf(blobs.layout([list])), { platform: 'linux/amd64' })
  assert.deepEqual(layersOf(source.images[0]), [gzipSync(base), middle])
})

test('an image without layers is an image', async (t) => {
  for (const rootfs of [
    { type: 'layers', diff_ids: [] },
    { type: 'layers', diff_ids: null },
    { type: 'layers' },
  ]) {
    const empty = imageOf([], { rootfs })
    for (const content of [ociContent(empty), dockerContent([empty])]) {
      const [only] = (await open(t, tarOf(content))).images
      assert.deepEqual([only?.layers, only?.diffIds], [[], []])
    }
  }
})

test('a layout folder may have symlinks within it', async (t) => {
  const { dir } = tempDirs(t)
  const folder = join(dir, 'layout')
  writeFolder(folder, ociContent(image))
  mkdirSync(join(folder, 'real'))
  for (const name of readdirSync(join(folder, 'blobs/sha256'))) {
    execFileSync('mv', [join(folder, 'blobs/sha256', name), join(folder, 'real', name)])
    symlinkSync(`../../real/${name}`, join(folder, 'blobs/sha256', name))
  }
  const source = await openSource(folder, options(t))
  assert.deepEqual(layersOf(source.images[0]), [gzipSync(base), gzipSync(middle)])
  await source.close()
})

test('a single file is opened for import --layer, from a path or from standard input', async (t) => {
  const { dir } = tempDirs(t)
  writeFileSync(join(dir, 'layer.tar'), base)
  const stdin = async function* () {
    yield base.subarray(0, 100)
    yield base.subarray(100)
  }
  for (const source of [join(dir, 'layer.tar'), '-']) {
    const file = await openArchiveFile(source, { ...options(t), stdin: stdin() })
    assert.deepEqual(bytesOf(file.blob), base)
    file.close()
  }
  await assert.rejects(openArchiveFile(dir, options(t)), { code: 'INVALID_ARGUMENT', message: /a directory/ })
})

const ENDLESS: readonly (readonly [
  title: string,
  start: Buffer,
  more: Buffer,
  /** No more than this many bytes of it may be read. */
  bound: number,
  code: string,
  message: RegExp,
])[] = [
  ['zeros after text', Buffer.from('no tar'), Buffer.alloc(1000), 10_000, 'INVALID_ARGUMENT', /not a tar/],
  ['bytes', Buffer.alloc(3, 1), Buffer.alloc(700, 7), 10_000, 'INVALID_ARGUMENT', /not a tar archive/],
  ['bzip2', Buffer.from('BZ'), Buffer.from('h91AY&SY'), 100, 'UNIMPLEMENTED', /bzip2/],
  ['an archive, then bytes', base.subarray(0, -1024), Buffer.alloc(700, 7), 1 << 20, 'CORRUPT', /no header/],
]

for (const [title, start, more, bound, code, message] of ENDLESS) {
  test(`endless standard input that can't be an archive is not read any further: ${title}`, async (t) => {
    let taken = 0
    const stdin = async function* () {
      for (let chunk = start; ; chunk = more) {
        taken += chunk.length
        yield chunk
      }
    }
    for (const open of [openSource, openArchiveFile]) {
      const opening = open('-', { ...options(t), stdin: stdin() })
      // What follows a layer's first entry is checked only when it is read.
      if (open === openArchiveFile && code === 'CORRUPT')
        (await (opening as ReturnType<typeof openArchiveFile>)).close()
      else await assert.rejects(opening, { code, message })
      assert.ok(taken <= bound, `${taken} bytes`)
      taken = 0
    }
  })
}

test('standard input is read to its end if it may be an archive, whatever follows the end marker', async (t) => {
  for (const [start, length] of [
    [base, 15 << 20],
    [gzipSync(base), 20 << 20],
  ] as const) {
    const stdin = async function* () {
      yield start
      yield Buffer.alloc(length, 7)
    }
    const file = await openArchiveFile('-', { ...options(t), stdin: stdin() })
    assert.equal(file.blob.size, start.length + length)
    file.close()
  }
})

test('no descriptor stays behind', async (t) => {
  const { dir } = tempDirs(t)
  writeFolder(join(dir, 'layout'), ociContent(image))
  writeFileSync(join(dir, 'tar.gz'), gzipSync(tarOf(ociContent(image))))
  const before = openDescriptors()
  for (const name of ['layout', 'tar.gz']) await (await openSource(join(dir, name), options(t))).close()
  await assert.rejects(openSource(join(dir, 'layout'), { ...options(t), platform: 'linux/s390x' }))
  await assertNoneLeft(before)
})

function options(t: TestContext): SourceOptions & { readonly scratch: string } {
  return { scratch: tempDirs(t).scratch }
}

async function open(t: TestContext, bytes: Buffer, more: Partial<SourceOptions> = {}): Promise<ImageSource> {
  const { dir, scratch } = tempDirs(t)
  writeFileSync(join(dir, 'source'), bytes)
  const source = await openSource(join(dir, 'source'), { scratch, ...more })
  t.after(() => source.close())
  return source
}

function layersOf(one: ImageSource['images'][number] | undefined): readonly Buffer[] {
  return one?.layers.map(({ blob }) => (blob ? bytesOf(blob) : Buffer.alloc(0))) ?? []
}

function bytesOf({ fd, offset, size }: Blob): Buffer {
  const bytes = Buffer.alloc(size)
  assert.equal(readSync(fd, bytes, 0, size, offset), size)
  return bytes
}

function prefixed(content: Content, prefix: string): Content {
  return Object.fromEntries(Object.entries(content).map(([path, value]) => [prefix + path, value]))
}
