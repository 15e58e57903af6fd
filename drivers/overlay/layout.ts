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
import type { DriverContext } from '../../core/driver.js'
import { VarveError } from '../../core/errors.js'
import type { LayerId } from '../../core/ids.js'
import { MAX_LOWERS } from '../overlayfs/mounts.js'

/** A layer and its ancestors: as many as a read-only mount can stack, for every layer must be readable. */
export const MAX_LAYERS = MAX_LOWERS

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
