/**
 * A layer's merged view for this driver's own eyes: a read-only mount that is attached nowhere and goes with its
 * descriptor.
 */
import type { DriverContext } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { close } from '../../core/sys/files.js'
import { detached } from '../../core/sys/mount/detached.js'
import type { Features } from '../overlayfs/features.js'
import { readOnlyMount } from '../overlayfs/mounts.js'
import { ancestorsOn, type Layout } from './layout.js'

/** The descriptor of the view's root; the caller closes it. @throws VarveError, SysError */
export async function openView(
  id: LayerId,
  layout: Layout,
  features: Features,
  parentOf: DriverContext['parentOf'],
): Promise<number> {
  const layers = [id, ...ancestorsOn(parentOf(id), parentOf)].map(layout.diff)
  return (await detached([readOnlyMount(layers, layout, features)])).fd
}

/** Runs `work` with views of a layer, and of another that it is compared with where there is one; closes them. */
export async function* withViews<T>(
  id: LayerId,
  other: LayerId | undefined,
  open: (id: LayerId) => Promise<number>,
  work: (after: number, before: number | undefined) => Iterable<T> | AsyncIterable<T>,
): AsyncGenerator<T, void> {
  const after = await open(id)
  try {
    const before = other === undefined ? undefined : await open(other)
    try {
      yield* work(after, before)
    } finally {
      if (before !== undefined) close(before)
    }
  } finally {
    close(after)
  }
}
