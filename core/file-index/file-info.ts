/** Files as the public API shows them, from the index or from an open tree. */

import type { FileInfo } from '../api/store.js'
import type { StoredFile } from '../db/files.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import { directoryOf } from '../paths.js'
import { readlinkAt } from '../sys/files.js'
import { fstat, isBlock, isChar, isDirectory, isFifo, isFile, isSymlink, type Stat } from '../sys/stat.js'
import { readXattrs } from '../tree/attributes.js'
import { at, type Entered, enterDirectory, lstatAtOrUndefined } from '../tree/confined.js'

export function infoOfRow(row: StoredFile, layer: LayerId): FileInfo {
  return {
    path: row.path,
    type: row.type,
    // Linux keeps no mode of a symlink: it shows 0777, whatever the tar says (symlink(7)).
    mode: row.type === 'symlink' ? 0o777 : row.mode,
    uid: row.uid,
    gid: row.gid,
    size: row.size,
    mtimeSec: row.mtimeSec,
    mtimeNsec: row.mtimeNsec,
    target: row.target ?? '',
    hardlink: row.hardlink,
    devMajor: row.devMajor,
    devMinor: row.devMinor,
    xattrs: row.xattrs,
    sha256: row.sha256,
    layer,
  }
}

/** The file at `path` in the tree whose root directory is open as `root`; undefined for none. Never follows a symlink. */
export function infoAt(root: number, path: string, layer: LayerId): FileInfo | undefined {
  const rootStat = path === '' ? fstat(root) : undefined
  let directory: Entered
  try {
    directory = enterDirectory({ fd: root }, path === '' ? '' : directoryOf(path))
  } catch (error) {
    // ENOENT, ENOTDIR, ELOOP: no directory above it, so nothing there.
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined
    throw new VarveError('UNAVAILABLE', `read /${path} of layer ${layer}: ${messageOf(error)}`, {
      cause: error,
    })
  }
  try {
    const name = path === '' ? '.' : path.slice(path.lastIndexOf('/') + 1)
    const stat = rootStat ?? lstatAtOrUndefined(directory.fd, name)
    return stat && infoOfStat(directory.fd, name, path, stat, layer)
  } finally {
    directory.close()
  }
}

function infoOfStat(directory: number, name: string, path: string, stat: Stat, layer: LayerId): FileInfo {
  const type = typeOf(stat.mode)
  return {
    path,
    type,
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    size: type === 'file' ? stat.size : 0,
    mtimeSec: stat.mtimeSec,
    mtimeNsec: stat.mtimeNsec,
    target: type === 'symlink' ? readlinkAt(directory, name) : '',
    hardlink: undefined,
    devMajor: stat.rdevMajor,
    devMinor: stat.rdevMinor,
    xattrs: readXattrs(at(directory, name)),
    sha256: undefined,
    layer,
  }
}

/** A mark in a layer's own content, which hides something in lower layers. */
export function markOf(type: 'whiteout' | 'opaque', path: string, layer: LayerId): FileInfo {
  return {
    path,
    type,
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    target: '',
    hardlink: undefined,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    sha256: undefined,
    layer,
  }
}

function typeOf(mode: number): FileInfo['type'] {
  if (isDirectory(mode)) return 'directory'
  if (isFile(mode)) return 'file'
  if (isSymlink(mode)) return 'symlink'
  if (isChar(mode)) return 'char'
  if (isBlock(mode)) return 'block'
  return isFifo(mode) ? 'fifo' : 'socket'
}
