/**
 * Documents in which one field after the other has what would steer a terminal: escape sequences, C1 controls, direction
 * marks, line breaks, invisible characters, lone surrogates.
 */

import { END, file, header, pax } from '../support/tar-bytes.js'
import {
  type Content,
  createBlobs,
  dockerContent,
  type Fields,
  hexOf,
  imageOf,
  layerTar,
  TYPES,
  tarOf,
} from '../unit/formats/build.js'

/** The text of a line that must never begin a line of the output. */
export const MADE_UP = 'MADE-UP'
export const EVIL = `a\x1b[31m\x1b]0;title\x07\r\t\b\x7f\u009b31m\u0085\u00ad\u061c\u200b\u200f\u202e\u2066\u2028\u2029\ufeff\u{e0041}\n${MADE_UP}`
/** The same with a lone surrogate, for JSON. */
const HALF = `${EVIL}\ud800`

export interface Evil {
  readonly title: string
  /** An archive. */
  readonly archive: Buffer
}

const LAYER = layerTar('evil')

/** Fields of a config (image-spec, config.md, and Docker's own). */
const CONFIG: Readonly<Record<string, Fields>> = {
  os: { os: HALF },
  architecture: { architecture: HALF },
  variant: { variant: HALF },
  'os.version': { 'os.version': HALF },
  'os.features': { 'os.features': [HALF] },
  author: { author: HALF },
  created: { created: HALF },
  docker_version: { docker_version: HALF },
  container: { container: HALF },
  comment: { comment: HALF },
  parent: { parent: HALF },
  'an unknown field': { [HALF]: HALF },
  'config.User': { config: { User: HALF } },
  'config.Env': { config: { Env: [HALF] } },
  'config.Cmd': { config: { Cmd: [HALF] } },
  'config.Entrypoint': { config: { Entrypoint: [HALF] } },
  'config.Shell': { config: { Shell: [HALF] } },
  'config.WorkingDir': { config: { WorkingDir: HALF } },
  'config.StopSignal': { config: { StopSignal: HALF } },
  'config.Hostname': { config: { Hostname: HALF } },
  'config.Image': { config: { Image: HALF } },
  'config.Labels': { config: { Labels: { [HALF]: HALF } } },
  'config.Volumes': { config: { Volumes: { [HALF]: {} } } },
  'config.ExposedPorts': { config: { ExposedPorts: { [HALF]: {} } } },
  'config.Healthcheck': { config: { Healthcheck: { Test: [HALF] } } },
  'config.OnBuild': { config: { OnBuild: [HALF] } },
  'history.created_by': { history: [{ created_by: HALF }] },
  'history.author': { history: [{ author: HALF }] },
  'history.comment': { history: [{ comment: HALF }] },
  'history.created': { history: [{ created: HALF }] },
  'rootfs.type': { rootfs: { type: HALF, diff_ids: [] } },
  'rootfs.diff_ids': { rootfs: { type: 'layers', diff_ids: [HALF] } },
}

const ANNOTATIONS = [
  'org.opencontainers.image.ref.name',
  'io.containerd.image.name',
  'org.opencontainers.image.created',
  'org.opencontainers.image.title',
  HALF,
]

/** Fields of a descriptor. */
const DESCRIPTOR: Readonly<Record<string, Fields>> = {
  mediaType: { mediaType: HALF },
  digest: { digest: HALF },
  size: { size: HALF },
  urls: { urls: [HALF] },
  data: { data: HALF },
  artifactType: { artifactType: HALF },
  'platform.os': { platform: { os: HALF, architecture: 'amd64' } },
  'platform.architecture': { platform: { os: 'linux', architecture: HALF } },
  'platform.variant': { platform: { os: 'linux', architecture: 'amd64', variant: HALF } },
  'platform.os.version': { platform: { os: 'linux', architecture: 'amd64', 'os.version': HALF } },
  ...Object.fromEntries(ANNOTATIONS.map((key) => [`annotations ${key}`, { annotations: { [key]: HALF } }])),
}

const MANIFEST: Readonly<Record<string, Fields>> = {
  schemaVersion: { schemaVersion: HALF },
  mediaType: { mediaType: HALF },
  artifactType: { artifactType: HALF },
  annotations: { annotations: { [HALF]: HALF } },
  config: { config: HALF },
  layers: { layers: [HALF] },
  subject: { subject: HALF },
}

function docker(change: (content: Record<string, Buffer | string>) => void): Buffer {
  const content = { ...dockerContent([{ ...imageOf([LAYER]), tags: ['evil:1'] }]) }
  change(content)
  return tarOf(content)
}

function dockerManifest(fields: Fields): Buffer {
  return docker((content) => {
    const [first] = JSON.parse(String(content['manifest.json'])) as Fields[]
    content['manifest.json'] = JSON.stringify([{ ...first, ...fields }])
  })
}

const image = imageOf([LAYER])

function oci(descriptor: Fields, manifest: Fields = {}, index: Fields = {}): Buffer {
  const blobs = createBlobs()
  return tarOf(blobs.layout([blobs.manifest(image, descriptor, manifest)], index))
}

function ociLayer(fields: Fields, which: 'layers' | 'config'): Buffer {
  const blobs = createBlobs()
  const layer = { ...blobs.put(LAYER, TYPES.tar), ...(which === 'layers' ? fields : {}) }
  const config = { ...blobs.put(image.config, TYPES.config), ...(which === 'config' ? fields : {}) }
  return tarOf(blobs.layout([blobs.manifest(image, {}, { layers: [layer], config })]))
}

function nested(fields: Fields): Buffer {
  const blobs = createBlobs()
  return tarOf(blobs.layout([{ ...blobs.index([blobs.manifest(image)]), ...fields }]))
}

function withFile(content: Content): Buffer {
  return docker((all) => Object.assign(all, content))
}

const table = (what: string, fields: Readonly<Record<string, Fields>>, make: (fields: Fields) => Buffer) =>
  Object.entries(fields).map(
    ([title, change]): Evil => ({ title: `${what}: ${title}`, archive: make(change) }),
  )

export const DOCUMENTS: readonly Evil[] = [
  ...table('config', CONFIG, (fields) =>
    tarOf(dockerContent([{ ...imageOf([LAYER], fields), tags: ['evil:1'] }])),
  ),
  ...table(
    'manifest.json',
    {
      Config: { Config: HALF },
      RepoTags: { RepoTags: [HALF] },
      Layers: { Layers: [HALF] },
      other: { [HALF]: HALF },
    },
    dockerManifest,
  ),
  ...table('index.json', DESCRIPTOR, (fields) => oci(fields)),
  ...table('a nested index', DESCRIPTOR, nested),
  ...table('manifest', MANIFEST, (fields) => oci({}, fields)),
  ...table('the descriptor of a layer', DESCRIPTOR, (fields) => ociLayer(fields, 'layers')),
  ...table('the descriptor of a config', DESCRIPTOR, (fields) => ociLayer(fields, 'config')),
  ...table('index.json itself', MANIFEST, (fields) => oci({}, {}, fields)),
  { title: 'manifest.json: not JSON', archive: withFile({ 'manifest.json': `[{"Config":"${EVIL}` }) },
  {
    title: 'the config: not JSON',
    archive: docker((content) => {
      content[`${hexOf(image.config)}.json`] = EVIL
    }),
  },
  { title: 'oci-layout: not JSON', archive: withFile({ 'oci-layout': EVIL, 'index.json': EVIL }) },
  {
    title: 'oci-layout: its version',
    archive: withFile({ 'oci-layout': JSON.stringify({ imageLayoutVersion: HALF }) }),
  },
  { title: 'the name of a file in the archive', archive: withFile({ [bytes('evil')]: '' }) },
  { title: 'a link in the archive', archive: withFile({ [bytes('link')]: `->${bytes('to')}` }) },
  { title: 'the name of a blob', archive: withFile({ [`blobs/sha256/${bytes('')}`]: 'x' }) },
]

/** Short enough for a name in a tar, as bytes. */
function bytes(name: string): string {
  return `${name}\x1b[31m\x9b\n${MADE_UP}`
}

const BYTES = Buffer.from(EVIL).toString('latin1')

/** Layer tars: some are imported, others are refused because of an entry. */
export const LAYERS: readonly Evil[] = [
  {
    title: 'names, targets, owners and attributes',
    archive: Buffer.concat([
      pax([['path', BYTES]]),
      file('x', 'content\n'),
      pax([
        ['path', `${BYTES}-link`],
        ['linkpath', BYTES],
      ]),
      header({ name: 'l', type: '2', linkname: 'x' }),
      pax([
        ['path', `${BYTES}-hard`],
        ['linkpath', BYTES],
      ]),
      header({ name: 'h', type: '1', linkname: 'x' }),
      pax([['path', `${BYTES}-dir/`]]),
      header({ name: 'd/', type: '5' }),
      pax([
        ['uname', BYTES],
        ['gname', BYTES],
        ['comment', BYTES],
        [`SCHILY.xattr.user.${BYTES}`, BYTES],
      ]),
      file('with-attributes', ''),
      END,
    ]),
  },
  ...(
    [
      ['a path that leaves', [['path', `../${BYTES}`]]],
      ['a size', [['size', BYTES]]],
      ['a time', [['mtime', BYTES]]],
      ['an owner', [['uid', BYTES]]],
      [
        'a sparse map',
        [
          ['GNU.sparse.map', BYTES],
          ['GNU.sparse.size', BYTES],
        ],
      ],
      ['an attribute that no file system takes', [[`SCHILY.xattr.${BYTES}`, BYTES]]],
      ['an ACL', [['SCHILY.xattr.system.posix_acl_access', BYTES]]],
      ['a capability', [['SCHILY.xattr.security.capability', BYTES]]],
      ['a name that is too long', [['path', BYTES.repeat(100)]]],
    ] as readonly (readonly [string, readonly (readonly [string, string])[]])[]
  ).map(([title, records]) => ({ title, archive: Buffer.concat([pax(records), file('x', 'x'), END]) })),
  {
    title: 'a hard link to nothing',
    archive: Buffer.concat([
      pax([['linkpath', BYTES]]),
      header({ name: 'h', type: '1', linkname: 'x' }),
      END,
    ]),
  },
  {
    title: 'the same name twice',
    archive: Buffer.concat([
      pax([['path', BYTES]]),
      file('x', '1'),
      pax([['path', `${BYTES}/y`]]),
      file('x', '2'),
      END,
    ]),
  },
]
