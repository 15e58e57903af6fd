/** Packs changes of a tree that may be written to meanwhile, without ever leaving it (core/tree/confined.ts). */
import { toShortText } from '../bytes.js'
import type { Change } from '../driver.js'
import { errnoOf, VarveError } from '../errors.js'
import { baseOf, directoryOf } from '../paths.js'
import { closeEach } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { close, read, readlinkAt } from '../sys/files.js'
import { fstat, inodeOf, isDirectory, isFile, isSocket, isSymlink, lstatAt, type Stat } from '../sys/stat.js'
import { createTarPacker } from '../tar/pack.js'
import { readXattrs } from '../tree/attributes.js'
import { at, openRegularFile, openTree } from '../tree/confined.js'
import { createNotices } from '../tree/notices.js'
import { itemsOf, openLastDirectory } from './pack-items.js'
import { baseEntry, fixedTime, typeOf, whiteout } from './tar-entry.js'

export interface Packed {
  readonly entries: number
  readonly notices: readonly string[]
}

interface PackSyncOptions {
  /** Gets views of reused memory. */
  readonly emit: (bytes: Uint8Array) => void
  /** Called once per entry; may throw. */
  readonly checkpoint?: () => void
}

const CHUNK = 256 * 1024

/** {@link packChanges} of pack-changes.ts in this thread. */
export function pack(view: string | number, changes: Iterable<Change>, options: PackSyncOptions): Packed {
  const { emit, checkpoint = () => {} } = options
  const packer = createTarPacker(emit)
  const tree = openTree(view)
  const directories = openLastDirectory(tree)
  const notices = createNotices()
  const names = new Map<string, string>()
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  const whiteoutTime = fixedTime()
  let entries = 0
  let current = ''

  try {
    for (const [name, { path, deleted, socket }] of itemsOf(tree, directories, changes, checkpoint)) {
      checkpoint()
      current = path
      if (socket) leaveSocket(path)
      if (deleted) packer.entry(whiteout(name, whiteoutTime))
      else if (!packEntry(path)) continue
      entries++
    }
    packer.end()
    return { entries, notices: notices.list() }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new VarveError(
        'UNAVAILABLE',
        `pack "${toShortText(current)}": it vanished meanwhile; stop what writes there`,
        {
          cause: error,
        },
      )
    }
    throw failure(error, `pack "${toShortText(current)}"`)
  } finally {
    closeEach(directories, tree)
  }

  function leaveSocket(path: string): void {
    notices.add(`${toShortText(path)}: a socket, which no tar can hold: left out`)
  }

  /** False where no tar can hold it. */
  function packEntry(path: string): boolean {
    const dirFd = directories.open(path === '' ? '' : directoryOf(path))
    const name = path === '' ? '.' : baseOf(path)
    const stat = path === '' ? fstat(tree.fd) : lstatAt(dirFd, name)
    if (isSocket(stat.mode)) {
      leaveSocket(path)
      return false
    }
    const first = firstName(path, stat)
    if (isFile(stat.mode) && first === undefined) {
      packFile(dirFd, name, path, stat)
      return true
    }
    const symlink = isSymlink(stat.mode) && first === undefined
    packer.entry({
      ...baseEntry(path, stat, readXattrs(at(dirFd, name))),
      type: first === undefined ? typeOf(stat) : 'link',
      linkname: first ?? (symlink ? readlinkAt(dirFd, name) : ''),
    })
    return true
  }

  /** The name under which this tar already has the same file. */
  function firstName(path: string, stat: Stat): string | undefined {
    if (stat.nlink === 1 || isDirectory(stat.mode)) return undefined
    const key = inodeOf(stat)
    const first = names.get(key)
    if (first === undefined) names.set(key, path)
    return first
  }

  function packFile(dirFd: number, name: string, path: string, before: Stat): void {
    const fd = openRegularFile(dirFd, name)
    try {
      const stat = fstat(fd)
      if (stat.ino !== before.ino || !isFile(stat.mode)) throw changing(path)
      // Never a sparse map, whatever it would save: Go's archive/tar, with which other engines write a layer again, can't
      // write one, and image-spec says "SHOULD NOT" (layer.md, "File Attributes").
      packer.entry({
        ...baseEntry(path, stat, readXattrs(at(dirFd, name))),
        size: stat.size,
        stored: stat.size,
      })
      packContent(fd, path, stat.size)
    } finally {
      close(fd)
    }
  }

  function packContent(fd: number, path: string, size: number): void {
    for (let offset = 0; offset < size; ) {
      const n = read(fd, buffer, 0, Math.min(CHUNK, size - offset), offset)
      if (n === 0) throw changing(path)
      packer.payload(buffer.subarray(0, n))
      offset += n
    }
  }
}

function changing(path: string): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `"${toShortText(path)}" changed while it was packed; stop what writes there`,
  )
}
