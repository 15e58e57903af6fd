/** A folder as a set of files. */
import { constants } from 'node:fs'
import { fromText, toText } from '../../bytes.js'
import type { Blob } from '../../compress/blob.js'
import { errnoOf } from '../../errors.js'
import { close, open, openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, readdir } from '../../sys/files.js'
import { fstat, inodeOf, isFile } from '../../sys/stat.js'
import { createDocumentCache, type Files } from '../files.js'

/**
 * Each file is opened once, when it is asked for, and stays open until `close`. Symlinks resolve with the folder as root
 * (openat2(2), RESOLVE_IN_ROOT), so an import reads nothing that its source does not hold. @throws SysError
 */
export function openFolder(path: string): Files {
  const folder = open(fromText(path), constants.O_RDONLY | constants.O_DIRECTORY)
  const opened = new Map<string, Blob | undefined>()
  /** By inode: a file of several names is one. */
  const files = new Map<string, Blob>()
  return {
    kind: 'folder',
    label: path,
    find(name) {
      if (!opened.has(name)) opened.set(name, openIn(folder, name, path, files))
      return opened.get(name)
    },
    top: () => readdir(fromText(path)),
    blobs: () => namesIn(folder, 'blobs/sha256'),
    documents: createDocumentCache(),
    close() {
      for (const blob of files.values()) close(blob.fd)
      files.clear()
      opened.clear()
      close(folder)
    },
  }
}

/** None where there is no such folder inside. */
function namesIn(folder: number, path: string): readonly string[] {
  let fd: number
  try {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY
    fd = openat2(folder, path, { flags, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return []
    throw error
  }
  try {
    return readdir(`/proc/self/fd/${fd}`)
  } finally {
    close(fd)
  }
}

function openIn(folder: number, name: string, label: string, files: Map<string, Blob>): Blob | undefined {
  let fd: number
  try {
    fd = openat2(folder, name, {
      // O_NONBLOCK: a fifo must not hold the import up; it is refused below.
      flags: constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
      resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    })
  } catch (error) {
    // Nothing of that name, or a name that leads through a file: not there.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
  const stat = fstat(fd)
  const { mode, size } = stat
  const known = files.get(inodeOf(stat))
  if (isFile(mode) && known === undefined) {
    const blob = { fd, offset: 0, size, label: `${label}: ${toText(name)}` }
    files.set(inodeOf(stat), blob)
    return blob
  }
  close(fd)
  return isFile(mode) ? known : undefined
}
