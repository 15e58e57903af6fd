/** What must be equal in the trees that containerd unpacks on two snapshotters. */
import type { Snapshot } from '../../support/oracle.js'

/**
 * What the unpacker is not bound to make equal: the root's time on overlay, where no layer tells it; elsewhere a directory
 * that a later layer has again keeps what the tar does not say of it (its xattrs), and has the time of what was deleted.
 */
export function comparable(tree: Snapshot, driver: string): Snapshot {
  const line = (path: string, text: string) =>
    text.startsWith('directory') && (driver !== 'overlay' || path === '')
      ? text.replace(/ mtime=.*/, '')
      : text
  return new Map([...tree].map(([path, text]) => [path, line(path, text)]))
}

/** Across backends. containerd's tars have no finer times, and of directories not all. */
export function withSeconds(tree: Snapshot): Snapshot {
  return new Map(
    [...comparable(tree, 'any')].map(([path, line]) => [path, line.replace(/(mtime=\d+)\d{9}/, '$1')]),
  )
}
