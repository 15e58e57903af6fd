/** The manifests that an index names, including those of indexes in it. */
import { VarveError } from '../../errors.js'
import type { Digest } from '../../ids.js'
import type { Document, Files } from '../files.js'
import { invalid } from '../json.js'
import { IMAGE_NAME, INDEX_TYPES, REF_NAME, REFERENCE_TYPE } from '../oci-media-types.js'
import { type Descriptor, isThere, missingBlob, parseIndex, readIndex } from './oci-document.js'

export interface Candidate {
  readonly descriptor: Descriptor
  /** It is in an index that index.json names: one of several for different platforms. */
  readonly isNested: boolean
}

/** The descriptors in index.json by name; those without a name under ''. */
export function parseTop(index: Document): ReadonlyMap<string, readonly Descriptor[]> {
  const groups = new Map<string, Descriptor[]>()
  for (const descriptor of parseIndex(index, undefined)) {
    const { annotations } = descriptor
    const key = annotations.get(IMAGE_NAME) ?? annotations.get(REF_NAME) ?? ''
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [descriptor])
    else group.push(descriptor)
  }
  return groups
}

/** Is it an attestation that BuildKit put beside an image? */
export function isAttestation({ annotations }: Descriptor): boolean {
  return annotations.has(REFERENCE_TYPE)
}

/** Indexes within indexes: anything deeper is a trap, not an image. */
const MAX_DEPTH = 8
/** Of one source, each counted as often as it is named. */
const MAX_CANDIDATES = 100_000

/** Expands the groups of one source; `absent` gets what an index names and the source lacks, `named` all that it names. */
export function createExpander(files: Files, named: Set<Digest>, absent: (error: VarveError) => void) {
  const indexes = new Map<string, readonly Descriptor[]>()
  let count = 0

  const listOf = (descriptor: Descriptor): readonly Descriptor[] => {
    const key = `${descriptor.digest} ${descriptor.mediaType} ${descriptor.size}`
    const known = indexes.get(key) ?? readIndex(files, descriptor)
    indexes.set(key, known)
    return known
  }

  /** Each manifest once, in order. Attestations beside an image in its index are part of it and left out. */
  return (group: readonly Descriptor[]): readonly Candidate[] => {
    const candidates: Candidate[] = []
    const seen = new Set<string>()
    const expand = (list: readonly Descriptor[], depth: number): void => {
      if (depth > MAX_DEPTH) throw invalid(files.label, `indexes within indexes, more than ${MAX_DEPTH} deep`)
      for (const descriptor of list) {
        if (++count > MAX_CANDIDATES) {
          throw new VarveError(
            'RESOURCE_EXHAUSTED',
            `${files.label}: its indexes name more than ${MAX_CANDIDATES} manifests: refused`,
          )
        }
        named.add(descriptor.digest)
        if (seen.has(descriptor.digest) || (depth > 0 && isAttestation(descriptor))) continue
        seen.add(descriptor.digest)
        if (!INDEX_TYPES.includes(descriptor.mediaType)) candidates.push({ descriptor, isNested: depth > 0 })
        else if (isThere(files, descriptor)) expand(listOf(descriptor), depth + 1)
        else absent(missingBlob(files, descriptor, 'index'))
      }
    }
    expand(group, 0)
    return candidates
  }
}
