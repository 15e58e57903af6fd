/**
 * A layer's merged view for this driver's own eyes: a read-only mount that is attached nowhere and goes with its
 * descriptor. Always an overlay, also for a single layer, so that the kernel hides and unescapes its attributes there too.
 */
import type { DriverContext } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { close } from '../../core/sys/files.js'
import { detached } from '../../core/sys/mount.js'
import type { Features } from './features.js'
import { ancestorsOf, type Layout, readOnlyMount } from './layout.js'

/** The descriptor of the view's root; the caller closes it. @throws VarveError, SysError */
export function openView(
  id: LayerId,
  layout: Layout,
  features: Features,
  parentOf: DriverContext['parentOf'],
): number {
  const layers = [id, ...ancestorsOf(parentOf(id), parentOf)].map(layout.diff)
  const lowers = layers.length === 1 ? [...layers, layout.empty] : layers
  return detached([readOnlyMount(lowers, features)]).fd
}

/** Runs `work` with the views of the layers, and closes them. */
export async function* withViews<T>(
  ids: readonly LayerId[],
  open: (id: LayerId) => number,
  work: (views: readonly number[]) => Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T, void> {
  const views: number[] = []
  try {
    for (const id of ids) views.push(open(id))
    yield* work(views)
  } finally {
    for (const view of views) close(view)
  }
}
