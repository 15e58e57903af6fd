/** Branded identifiers, parsed once at the edge. A value of one brand can't be passed where another is wanted. */
import { hash } from 'node:crypto'
import { VarveError } from './errors.js'

declare const brand: unique symbol
type Brand<T, B extends string> = T & { readonly [brand]: { readonly [name in B]: true } }

/** A layer as the driver knows it: `[A-Za-z0-9_.-]{1,255}`, never `.` or `..`. The store makes short random ones. */
export type LayerId = Brand<string, 'LayerId'>
/** `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md#digests). */
export type Digest = Brand<string, 'Digest'>
/** The digest of a layer and all below it (OCI image-spec, config.md#layer-chainid). */
export type ChainId = Brand<Digest, 'ChainId'>

/** Is it spelled like the layer ids that the store makes up (layerIdOf in core/graph/rules.ts)? */
export function isMadeUp(name: string): name is LayerId {
  return /^[a-z][a-z0-9]{7}$/.test(name)
}

const LAYER_ID = /^[A-Za-z0-9_.-]{1,255}$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** @throws VarveError INVALID_ARGUMENT */
export function parseLayerId(text: string): LayerId {
  if (!LAYER_ID.test(text) || text === '.' || text === '..') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `illegal layer id ${JSON.stringify(text.slice(0, 300))}: use 1 to 255 of A-Z a-z 0-9 _ . - (not "." or "..")`,
    )
  }
  return text as LayerId
}

/** @throws VarveError INVALID_ARGUMENT; only sha256 is accepted */
export function parseDigest(text: string): Digest {
  if (!DIGEST.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `malformed digest ${JSON.stringify(text.slice(0, 300))}: want sha256: and 64 lower-case hex digits`,
    )
  }
  return text as Digest
}

export function isDigest(text: string): text is Digest {
  return DIGEST.test(text)
}

/** The chain id of a layer on top of `parent`'s chain (OCI image-spec, config.md#layer-chainid). */
export function chainIdOf(parent: ChainId | undefined, diffId: Digest): ChainId {
  if (parent === undefined) return diffId as ChainId
  return digestOf(hash('sha256', `${parent} ${diffId}`, 'buffer')) as ChainId
}

/** The 32 raw bytes of a digest, as SQLite keeps them. */
export function digestBytes(digest: Digest): Buffer {
  return Buffer.from(digest.slice(7), 'hex')
}

/** The digest of 32 raw bytes. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}` as Digest
}
