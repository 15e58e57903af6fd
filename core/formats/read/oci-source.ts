/** OCI layouts (image-spec, image-layout.md), as a folder or in a tar: index.json names the images. */
import type { VarveError } from '../../errors.js'
import { tryArchiveName } from '../../reference.js'
import type { Document, Files } from '../files.js'
import { field, invalid, parseObject } from '../json.js'
import { INDEX_TYPES } from '../oci-media-types.js'
import type { Found, FoundImage } from './found.js'
import { type Candidate, createExpander, parseTop } from './oci-candidates.js'
import { type Descriptor, isThere, missingBlob } from './oci-document.js'
import { createManifestReader, type ManifestKind } from './oci-manifests.js'
import { acceptable, hostPlatform } from './platform.js'

interface OciOptions {
  /** Parsed, where one was asked for. */
  readonly platform: string | undefined
  /** Called with what index.json names and the source lacks; may throw it. */
  readonly absent: (error: VarveError) => void
}

/**
 * Reads what index.json names: for each name the manifest for the platform, and all of those without a name. A single
 * manifest is taken whatever its platform, unless one was asked for, as docker load does.
 */
export function readOciImages(files: Files, index: Document, found: Found, options: OciOptions): void {
  const { platform, absent } = options
  const expand = createExpander(files, found.manifests, absent)
  const context = { files, found, absent, read: createManifestReader(files) }
  for (const [key, group] of parseTop(index)) {
    for (const { digest } of group) found.manifests.add(digest)
    const [only] = group
    const isSingle = only !== undefined && group.length === 1 && !INDEX_TYPES.includes(only.mediaType)
    if (!isSingle || platform !== undefined) choose(context, expand(group), key, platform ?? hostPlatform())
    else if (isThere(files, only)) take(context, only, key)
    else absent(missingBlob(files, only, 'manifest'))
  }
}

/** @throws VarveError INVALID_ARGUMENT unless the layout is of a version that is read here */
export function requireLayoutVersion({ bytes, where }: Document): void {
  const version = field(parseObject(bytes, where), 'imageLayoutVersion', 'string', where)
  if (!LAYOUT_VERSION.test(version)) {
    throw invalid(where, `imageLayoutVersion is ${JSON.stringify(version.slice(0, 100))}, not 1.0.0`)
  }
}

const LAYOUT_VERSION = /^1\.\d+\.\d+$/

interface Context {
  readonly files: Files
  readonly found: Found
  readonly absent: (error: VarveError) => void
  readonly read: (descriptor: Descriptor) => ManifestKind
}

/** Takes the manifests for `wanted`, or for a platform whose images run there; reports what is left out. */
function choose(context: Context, candidates: readonly Candidate[], key: string, wanted: string): void {
  const { files, found, absent } = context
  const { there, gone } = byPlatform(context, candidates)
  const fit = acceptable(wanted).find((one) => there.has(one))
  // In an index of their own these are alternatives; directly in index.json they may be different images.
  const others = [...there].flatMap(([platform, list]) =>
    platform === fit ? [] : list.map((one) => ({ platform, ...one })),
  )
  if (fit === undefined) {
    const missing = acceptable(wanted).flatMap((one) => gone.get(one) ?? [])[0] ?? [...gone.values()][0]
    const error = missing && missingBlob(files, missing, 'manifest')
    if (there.size > 0) {
      found.otherPlatform(
        key || undefined,
        wanted,
        [...there.keys()],
        error && `it is listed, but ${error.message}`,
      )
    } else if (error !== undefined) absent(error)
    return
  }
  let taken = false
  for (const { descriptor } of there.get(fit) ?? []) {
    if (!taken || key === '') taken = take(context, descriptor, key) || taken
    else {
      const name = JSON.stringify(key.slice(0, 300))
      found.passOver(
        invalid(`${files.label}: ${descriptor.digest}`, `another manifest for ${fit} that is called ${name}`),
      )
    }
  }
  for (const { platform, descriptor, isNested } of others) {
    if (!isNested) found.otherPlatform(key || descriptor.digest, wanted, [platform])
  }
}

interface ByPlatform {
  readonly there: ReadonlyMap<string, readonly Candidate[]>
  /** Listed for a platform but missing: `ctr images export --platform` writes only one platform's blobs. */
  readonly gone: ReadonlyMap<string, Descriptor>
}

function byPlatform({ files, found, absent, read }: Context, candidates: readonly Candidate[]): ByPlatform {
  const there = new Map<string, Candidate[]>()
  const gone = new Map<string, Descriptor>()
  for (const candidate of candidates) {
    const { descriptor } = candidate
    let platform = descriptor.platform === UNKNOWN ? undefined : descriptor.platform
    if (!isThere(files, descriptor)) {
      if (platform === undefined) absent(missingBlob(files, descriptor, 'manifest'))
      else if (!gone.has(platform)) gone.set(platform, descriptor)
      continue
    }
    if (platform === undefined) {
      const kind = read(descriptor)
      if ('other' in kind) {
        found.passOver(kind.other)
        continue
      }
      platform = kind.image.platform
    }
    const same = there.get(platform)
    if (same === undefined) there.set(platform, [candidate])
    else same.push(candidate)
  }
  return { there, gone }
}

/** The platform that builders give to what is for none. */
const UNKNOWN = 'unknown/unknown'

/** Adds the image; false, and passed over, if it is none. */
function take({ found, read }: Context, descriptor: Descriptor, key: string): boolean {
  const kind = read(descriptor)
  if ('other' in kind) found.passOver(kind.other)
  else found.add({ ...kind.image, names: namesOf(key) } satisfies FoundImage)
  return 'image' in kind
}

/**
 * The name in an annotation. The spec means ref.name for the tag alone, podman writes the whole name there, umoci what its
 * user typed. So a word is a name unless it looks like a version. What can't be a name is ignored.
 */
function namesOf(annotation: string): readonly string[] {
  const name = VERSION.test(annotation) ? undefined : tryArchiveName(annotation)
  return name === undefined ? [] : [name]
}

const VERSION = /^(?:latest|v?\d[\w.-]*)$/
