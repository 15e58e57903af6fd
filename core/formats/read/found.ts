/**
 * Collects what the documents of a source name. The rule: everything in a source is imported, or reported. An archive may
 * hold several documents (index.json, manifest.json, repositories) that each name some of its images. Tools differ in which
 * one they read, so all are read.
 */
import type { Blob } from '../../compress/blob.js'
import { VarveError } from '../../errors.js'
import type { Digest } from '../../ids.js'
import { invalid } from '../json.js'
import type { SourceImage, SourceLayer, SourceOptions } from './image.js'

/** A layer as a document names it; `missing` is the error of one whose blob is not there. */
export interface FoundLayer extends SourceLayer {
  readonly missing: VarveError | undefined
}

export interface FoundImage extends Omit<SourceImage, 'layers'> {
  readonly layers: readonly FoundLayer[]
}

export interface Found {
  /** One image for each config: a second document that names it adds names, and blobs that the first one lacks. */
  add(image: FoundImage): void
  /** Something that is not imported, and why. The first of these errors is thrown if no image is found. */
  passOver(error: VarveError): void
  /** An image (or a set of alternatives) that is not there for the wanted platform, only for these. */
  otherPlatform(name: string | undefined, wanted: string, there: readonly string[], why?: string): void
  images(): readonly FoundImage[]
  /** Every manifest that some index names, whether it is imported or not. */
  readonly manifests: Set<Digest>
  /** @throws VarveError where there is none, or one can't be had */
  finish(options: SourceOptions): readonly SourceImage[]
}

/** Each layer counted for every image that has it. */
const MAX_ALL_LAYERS = 200_000
/** Of one kind that are reported one by one; the rest is only counted. */
const MAX_NOTICES = 8

interface Miss {
  readonly name: string | undefined
  readonly wanted: string
  readonly there: readonly string[]
  readonly why: string | undefined
}

interface Gathered {
  readonly image: FoundImage
  readonly names: Set<string>
  readonly illegal: Set<string>
}

export function createFound(label: string): Found {
  const byConfig = new Map<Digest, Gathered>()
  const passedOver: VarveError[] = []
  const misses: Miss[] = []
  /** By diff id: the first layer whose blob is there. */
  const blobs = new Map<Digest, FoundLayer>()

  let layers = 0

  return {
    manifests: new Set(),
    add(image) {
      layers += image.layers.length
      if (layers > MAX_ALL_LAYERS) {
        throw new VarveError(
          'RESOURCE_EXHAUSTED',
          `${label}: its images have more than ${MAX_ALL_LAYERS} layers together: refused`,
        )
      }
      for (const layer of image.layers) {
        if (layer.blob !== undefined && !blobs.has(layer.diffId)) blobs.set(layer.diffId, layer)
      }
      const known = byConfig.get(image.configDigest)
      if (known === undefined) {
        const sets = { names: new Set(image.names), illegal: new Set(image.illegalNames) }
        byConfig.set(image.configDigest, { image, ...sets })
        return
      }
      for (const name of image.names) known.names.add(name)
      for (const name of image.illegalNames) known.illegal.add(name)
    },
    passOver: (error) => void passedOver.push(error),
    otherPlatform: (name, wanted, there, why) => void misses.push({ name, wanted, there, why }),
    images: () => [...byConfig.values()].map(({ image, names }) => ({ ...image, names: [...names] })),
    finish(options) {
      const notices = new Map<string, string[]>()
      const notice = (kind: string, text: string) => {
        const list = notices.get(kind)
        if (list === undefined) notices.set(kind, [text])
        else list.push(text)
      }
      if (byConfig.size === 0) {
        throw platformError(label, misses) ?? passedOver[0] ?? invalid(label, 'there is no image in it')
      }
      for (const miss of misses) notice('platform', platformMessage(label, [miss]))
      for (const error of passedOver) notice('passed', `passed over: ${error.message}`)
      const images = named([...byConfig.values()], { label, renamed: options.named === true, notice })
      const whole = images.map((image) => ({ ...image, layers: completed(image, blobs, options) }))
      for (const list of notices.values()) {
        for (const text of list.slice(0, MAX_NOTICES)) options.notice?.(text)
        const more = list.length - MAX_NOTICES
        if (more > 0) options.notice?.(`${label}: ${more} more like the one before`)
      }
      return whole
    },
  }
}

interface Naming {
  readonly label: string
  readonly renamed: boolean
  readonly notice: (kind: string, text: string) => void
}

/** A name means one image: the last one that has it, as for docker and containerd. */
function named(found: readonly Gathered[], { label, renamed, notice }: Naming): readonly FoundImage[] {
  const owners = new Map<string, Gathered>()
  for (const one of found) {
    for (const name of one.names) {
      const other = owners.get(name)
      if (other !== undefined && !renamed) {
        const gets = one.image.configDigest
        notice(
          'names',
          `${label}: two images are called ${name}: ${gets} gets the name, ${other.image.configDigest} does not`,
        )
      }
      owners.set(name, one)
    }
  }
  return found.map((one) => {
    const names = [...one.names].filter((name) => owners.get(name) === one)
    const illegalNames = [...one.illegal]
    const [illegal] = illegalNames
    if (illegal !== undefined && !renamed) {
      const what = `illegal name ${JSON.stringify(illegal.slice(0, 300))} in "RepoTags"`
      // A single image can be named with --name.
      if (found.length === 1 && names.length === 0)
        throw invalid(label, `${what}: give it another with --name`)
      for (const text of illegalNames) {
        notice(
          'illegal',
          `${label}: image ${one.image.configDigest} comes in without its illegal name ${JSON.stringify(text.slice(0, 300))}`,
        )
      }
    }
    return { ...one.image, names, illegalNames }
  })
}

/** The diff id identifies a layer's content, so the blob of another image, or what the store has, serves as well. */
function completed(
  { layers, diffIds }: FoundImage,
  blobs: ReadonlyMap<Digest, FoundLayer>,
  { has }: SourceOptions,
): readonly SourceLayer[] {
  return layers.map(({ missing, ...layer }, position) => {
    if (layer.blob !== undefined) return layer
    const other = blobs.get(layer.diffId)
    if (other !== undefined) {
      return { ...layer, blob: other.blob, digest: other.digest, mediaType: other.mediaType }
    }
    if (has?.(diffIds.slice(0, position + 1)) === true) return { ...layer, digest: undefined }
    throw missing ?? new RangeError(`layer ${layer.diffId}: neither there nor missing`)
  })
}

function platformError(label: string, misses: readonly Miss[]): VarveError | undefined {
  return misses.length === 0 ? undefined : new VarveError('NOT_FOUND', platformMessage(label, misses))
}

function platformMessage(label: string, misses: readonly Miss[]): string {
  const [first] = misses
  const whose = misses.length === 1 && first?.name !== undefined ? `${first.name}: ` : ''
  const there = [...new Set(misses.flatMap((miss) => miss.there))].sort().join(', ') || 'none'
  const why = misses.find((miss) => miss.why !== undefined)?.why
  const more = why === undefined ? '' : `; ${why}`
  return `${label}: ${whose}no such platform ${first?.wanted}: there is ${there} (choose with --platform)${more}`
}

/** A key for a blob: its place in the source. */
export function placeOf({ fd, offset }: Blob): string {
  return `${fd}:${offset}`
}
