/** A damaged upper directory made equal to a good one. */
import { constants } from 'node:fs'
import { errnoOf } from '../../core/errors.js'
import { healTree } from '../../core/heal/heal.js'
import { close, open, writeAll } from '../../core/sys/files.js'

/** What mounts leave in an upper directory, and what a lower one does not need (fs/overlayfs/overlayfs.h). */
const LEFT_BY_MOUNTS = ['origin', 'impure', 'nlink', 'upper', 'uuid', 'protattr']

/**
 * How many entries changed. `prefix` is that of overlayfs's own attributes. Mounts that have the directory in them go on,
 * and see it mended. @throws SysError, VarveError as healTree
 */
export async function healUpper(
  damaged: string,
  good: string,
  { prefix, signal }: { readonly prefix: string; readonly signal?: AbortSignal },
): Promise<number> {
  const ignore = LEFT_BY_MOUNTS.map((name) => `${prefix}${name}`)
  const options = { ignore, whiteouts: true, ...(signal && { signal }) }
  const { changed, renamed } = await healTree(damaged, good, options)
  if (renamed) forgetNames()
  return changed
}

/**
 * A mount remembers the names of its lower directories, also that one is missing, and asks no more ("changes to the
 * underlying filesystems while part of a mounted overlay" are not looked for, overlayfs.rst). So all that the kernel
 * remembers of names and that nobody uses is dropped; it is read again when it is needed.
 */
function forgetNames(): void {
  try {
    const fd = open('/proc/sys/vm/drop_caches', constants.O_WRONLY)
    try {
      writeAll(fd, Buffer.from('2'))
    } finally {
      close(fd)
    }
  } catch (error) {
    // In a container that may be forbidden: then mounts see what was healed when the kernel forgets by itself.
    if (!['EROFS', 'EACCES', 'EPERM', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error
  }
}
