/** Rows of mounts and the kernel's own list. */
import { toText } from '../bytes.js'
import { createMountSpace, isMountPoint } from '../mount-space.js'
import { removeMountPoint } from '../mounts.js'
import { readdir } from '../sys/files.js'
import { tryLock } from '../sys/lock.js'
import { unmount } from '../sys/mount.js'
import type { CheckContext, Problem } from './problem.js'

export function* checkMounts({ db, root }: CheckContext): Generator<Problem, void> {
  const space = createMountSpace()
  const locked = (layer: string, work: () => boolean): boolean => {
    const lock = tryLock(`${root}/locks/node-${layer}`)
    if (lock === undefined) return false
    try {
      return work()
    } finally {
      lock.release()
    }
  }
  for (const row of db.mounts.all()) {
    if (space.isMounted(row)) continue
    const layer = db.nodes.get(row.node)?.layer ?? `#${row.node}`
    yield {
      check: 'mounts',
      subject: layer,
      message: `should be mounted at ${row.target}, but is not`,
      mend: {
        what: 'forget the mount',
        run: () =>
          locked(layer, () => {
            if (space.isMounted(row)) return false
            db.mounts.delete(row.node, row.target)
            return true
          }),
      },
    }
  }
  for (const name of readdir(`${root}/mnt`)) {
    const path = toText(`${root}/mnt/${name}`)
    if (db.mounts.byTarget(path) !== undefined) continue
    yield {
      check: 'mounts',
      subject: path,
      message: 'is a mount point that no mount is known of',
      mend: {
        what: 'unmount and remove it',
        run: () =>
          locked(name, () => {
            if (db.mounts.byTarget(path) !== undefined) return false
            if (isMountPoint(path)) unmount(`${root}/mnt/${name}`, { lazy: true })
            removeMountPoint(path)
            return true
          }),
      },
    }
  }
}
