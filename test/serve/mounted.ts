/** Performs the mounts that an engine gets, and works in them. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../core/driver.js'
import { attach, unmount } from '../../core/sys/mount/mount.js'
import type { SnapshotClient } from './containerd/snapshot-client.js'

/** Keeps containerd's garbage collector from removing a snapshot that nothing refers to. */
export const KEPT = { 'containerd.io/gc.root': 'now' }
/** The key of a temporary view. */
export const LOOK = 'a look'

/** Runs `use` with the mounts performed in `place`. Synchronous, so that one mount point is enough for all callers. */
export function mounted<T>(place: string, mounts: readonly Mount[], use: (path: string) => T): T {
  const path = join(place, 'mnt')
  mkdirSync(path, { recursive: true })
  attach(mounts, path)
  try {
    return use(path)
  } finally {
    unmount(path)
  }
}

/** Runs `use` with a view of a snapshot. */
export async function viewed<T>(
  { client, place, name }: { readonly client: SnapshotClient; readonly place: string; readonly name: string },
  use: (path: string) => T,
): Promise<T> {
  const { mounts } = await client.call<{ mounts: readonly Mount[] }>('View', {
    key: LOOK,
    parent: name,
    labels: KEPT,
  })
  const result = mounted(place, mounts, use)
  await client.call('Remove', { key: LOOK })
  return result
}
