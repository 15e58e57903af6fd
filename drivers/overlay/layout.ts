/**
 * Where things are:
 *
 *     <home>/<id>/diff    the layer's own content: the upper directory of its mounts, a lower one of its children's
 *     <home>/<id>/work    overlayfs's scratch space; there only while the layer is writable
 *     <home>/empty~       an empty lower directory for views of a layer that has no parent
 *     <home>/metacopy~    its presence: some layer here may hold files whose content is in a layer below
 *
 * A chain is not on disk: the store knows it. `~` is in no layer id.
 */
import type { DriverContext, Mount } from '../../core/driver.js'
import { VarveError } from '../../core/errors.js'
import type { LayerId } from '../../core/ids.js'
import { escapePath } from '../../core/sys/overlay-data.js'
import { type Features, readOnlyOptions, writableOptions } from './features.js'

/**
 * A layer and its ancestors: as many as a read-only mount can stack, for every layer must be readable (OVL_MAX_STACK of
 * the kernel's fs/overlayfs: lower directories in one mount).
 */
export const MAX_LAYERS = 500

export interface Layout {
  readonly home: string
  readonly empty: string
  readonly metacopyMark: string
  layer(id: LayerId): string
  diff(id: LayerId): string
  work(id: LayerId): string
}

export function layoutOf(home: string): Layout {
  return {
    home,
    empty: `${home}/empty~`,
    metacopyMark: `${home}/metacopy~`,
    layer: (id) => `${home}/${id}`,
    diff: (id) => `${home}/${id}/diff`,
    work: (id) => `${home}/${id}/work`,
  }
}

/** The ancestors of a layer on `parent`, nearest first. @throws VarveError FAILED_PRECONDITION where they are too many */
export function ancestorsOn(
  parent: LayerId | undefined,
  parentOf: DriverContext['parentOf'],
): readonly LayerId[] {
  const ancestors: LayerId[] = []
  for (let id = parent; id !== undefined; id = parentOf(id)) {
    ancestors.push(id)
    if (ancestors.length < MAX_LAYERS) continue
    throw new VarveError(
      'FAILED_PRECONDITION',
      `overlay: no layer can be on ${parent}: overlayfs stacks ${MAX_LAYERS}, and so many are there; flatten the image`,
    )
  }
  return ancestors
}

/** A writable mount of `upper` on `lowers` (paths, nearest first); with no lower one, the directory itself. */
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

/** A read-only mount of the layers (paths, topmost first); of one, the directory itself. */
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
