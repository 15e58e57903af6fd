/** An image's config (OCI image-spec, config.md; Docker's is the same in what matters here). */
import { VarveError } from '../../errors.js'
import type { Digest } from '../../ids.js'
import { asDigest, field, invalid, listField, optionalField, parseObject } from '../json.js'
import { platformOf } from './platform.js'

export interface ConfigFacts {
  readonly platform: string
  readonly created: string | undefined
  readonly diffIds: readonly Digest[]
}

/** More than any backend or engine can mount. */
export const MAX_LAYERS = 1_000

/** @throws VarveError INVALID_ARGUMENT, RESOURCE_EXHAUSTED (more than {@link MAX_LAYERS} layers) */
export function parseConfig(bytes: Buffer, where: string): ConfigFacts {
  const config = parseObject(bytes, where)
  const rootfs = field(config, 'rootfs', 'object', where)
  const type = field(rootfs, 'type', 'string', where)
  if (type !== 'layers') throw invalid(where, `field "rootfs.type" is ${JSON.stringify(type)}, not "layers"`)
  const diffIds = listField(rootfs, 'diff_ids', 'string', where)
  if (diffIds.length > MAX_LAYERS) {
    throw new VarveError(
      'RESOURCE_EXHAUSTED',
      `${where}: ${diffIds.length} layers: the most is ${MAX_LAYERS}`,
    )
  }
  const text = (name: string) => optionalField(config, name, 'string', where)
  return {
    platform: platformOf(text('os'), text('architecture'), text('variant')),
    created: text('created'),
    diffIds: diffIds.map((id, index) => asDigest(id, `${where}: field "diff_ids[${index}]"`)),
  }
}

/** @throws VarveError INVALID_ARGUMENT unless there is a diff id for each layer */
export function requireCounts(diffIds: readonly unknown[], layers: readonly unknown[], where: string): void {
  if (diffIds.length === layers.length) return
  throw invalid(
    where,
    `the config has ${diffIds.length} diff_ids for ${layers.length} layers: each layer needs one`,
  )
}
