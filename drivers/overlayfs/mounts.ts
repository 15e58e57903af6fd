/** Recipes of overlay mounts. Paths are byte strings of real directories. */
import type { Mount } from '../../core/driver.js'
import { escapePath } from '../../core/sys/mount/overlay-data.js'
import { type Features, readOnlyOptions, writableOptions } from './features.js'

/** Lower directories in one mount: OVL_MAX_STACK of the kernel's fs/overlayfs. */
export const MAX_LOWERS = 500

/**
 * A writable mount of the upper directory `diff` on `lowers`, nearest first. `empty` is an empty directory, which is the
 * lower one where there is no other.
 */
export function writableMount(
  lowers: readonly string[],
  upper: { readonly diff: string; readonly work: string; readonly empty: string },
  features: Features,
): Mount {
  const options = [
    ...writableOptions(features),
    `workdir=${escapePath(upper.work)}`,
    `upperdir=${escapePath(upper.diff)}`,
    lowerdir(lowers.length === 0 ? [upper.empty] : lowers),
  ]
  return { type: 'overlay', source: 'overlay', options: ['rw', ...options] }
}

/** A read-only mount of the layers, topmost first. `empty` goes below a single one: the kernel wants two. */
export function readOnlyMount(
  layers: readonly string[],
  { empty }: { readonly empty: string },
  features: Features,
): Mount {
  const stack = layers.length === 1 ? [...layers, empty] : layers
  return {
    type: 'overlay',
    source: 'overlay',
    options: ['ro', ...readOnlyOptions(features), lowerdir(stack)],
  }
}

function lowerdir(paths: readonly string[]): string {
  return `lowerdir=${paths.map(escapePath).join(':')}`
}
