/** The parts of trees that must be equal when containerd unpacks on two snapshotters. */
import type { Snapshot } from '../../support/oracle.js'

/**
 * Leaves out what the unpacker need not make equal. On overlay that is the root's time, which no layer sets. Elsewhere a
 * directory that occurs again in a later layer keeps attributes that its entry lacks, and a deletion in it changes its time.
 */
export function comparable(tree: Snapshot, driver: string): Snapshot {
  const line = (path: string, text: string) =>
    text.startsWith('directory') && (driver !== 'overlay' || path === '')
      ? text.replace(/ mtime=.*/, '')
      : text
  return new Map([...tree].map(([path, text]) => [path, line(path, text)]))
}

/** For different backends: containerd's tars have times in whole seconds, and lack some directories. */
export function withSeconds(tree: Snapshot): Snapshot {
  return new Map(
    [...comparable(tree, 'any')].map(([path, line]) => [path, line.replace(/(mtime=\d+)\d{9}/, '$1')]),
  )
}
