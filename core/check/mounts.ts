/** Compares the rows of mounts with the kernel's own list. */
import { toText } from '../bytes.js'
import { isMountPointElsewhere, ownPlaceOf, removeMountPoint, unmountLayer } from '../mount/mount-point.js'
import { createMountSpace, isMountPoint } from '../mount/space.js'
import { readdir } from '../sys/files.js'
import { type CheckContext, isAsked, type Problem } from './problem.js'

/** Rows without a mount, and mount points without a row. */
export function* checkMounts(context: CheckContext): Generator<Problem, void> {
  const { db, graph, root } = context
  const before = createMountSpace()
  const locked = async (layer: string, work: () => boolean) => (await graph.ifFree(layer, work)) ?? false
  for (const row of db.mounts.all()) {
    if (!isAsked(context, row.node) || before.isMounted(row)) continue
    const layer = db.nodes.get(row.node)?.layer ?? `#${row.node}`
    yield {
      check: 'mounts',
      subject: layer,
      message: `should be mounted at ${row.target}, but is not`,
      mend: {
        what: 'forget the mount',
        run: () =>
          locked(layer, () => {
            const now = db.mounts.get(row.node, row.target)
            if (now === undefined || createMountSpace().isMounted(now)) return false
            db.mounts.delete(row.node, row.target)
            return true
          }),
      },
    }
  }
  if (context.only !== undefined) return
  for (const name of readdir(`${root}/mnt`)) {
    const path = ownPlaceOf(root, name)
    const isKnown = () => {
      const node = db.nodes.byLayer(name)
      return node !== undefined && db.mounts.own(node.id) !== undefined
    }
    if (isKnown()) continue
    yield {
      check: 'mounts',
      subject: toText(path),
      message: 'is a mount point without a known mount',
      mend: {
        what: 'unmount and remove it',
        run: () =>
          locked(name, () => {
            if (isKnown()) return false
            if (isMountPoint(path)) unmountLayer(path)
            else if (isMountPointElsewhere(`${root}/mnt`, name)) return false
            removeMountPoint(path)
            return true
          }),
      },
    }
  }
}
