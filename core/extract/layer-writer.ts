/** Writes the entries of one tar into an empty directory. */

import { constants } from 'node:fs'
import { toShortText } from '../bytes.js'
import { errnoOf, VarveError } from '../errors.js'
import { baseOf, directoryOf, join } from '../paths.js'
import { closeEach } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { close, ftruncate, link, mknod, open, symlink, syncFileRange } from '../sys/files.js'
import { fstat, isDirectory, lstatOrUndefined } from '../sys/stat.js'
import type { TarEntry, TarHandler } from '../tar/entry.js'
import { classify, cleanPath } from '../tar/whiteout.js'
import { createPathSet } from '../tree/budget.js'
import { writeAround } from '../tree/holes.js'
import type { Dir } from './path-resolver.js'
import type { PayloadWriter } from './replaced-payloads.js'
import { createUpper, type UpperOptions } from './upper.js'

export interface Laid {
  readonly size: number
  readonly inodes: number
  readonly entries: number
  readonly aliases: readonly (readonly [named: string, real: string])[]
  readonly notices: readonly string[]
  readonly whiteouts: readonly string[]
  readonly opaques: readonly string[]
}

export interface Layer extends TarHandler {
  /** After the last entry: does what has to wait until everything is made. */
  finish(): Laid
  /** Closes its descriptors, also after a failure. */
  close(): void
}

/** The regular file whose payload is coming. */
interface OpenFile {
  readonly fd: number
  readonly path: string
  /** Its path in the layer. */
  readonly where: string
  readonly entry: TarEntry
  /** Its name means different files in this tar, so its payload is also saved outside the layer. */
  readonly ambiguous: boolean
  segment: number
  /** Where the next byte goes. */
  offset: number
  /** The end of the last byte written: zeros may be left out (core/tree/holes.ts). */
  end: number
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const TYPES: Readonly<Record<string, number>> = {
  char: constants.S_IFCHR,
  block: constants.S_IFBLK,
  fifo: constants.S_IFIFO,
}
/** @throws VarveError from any of its methods, naming the entry */
export function createLayer(options: UpperOptions): Layer {
  const { place, style, payloads } = options
  const upper = createUpper(options)
  const { space, attributes, notices, counts, files, directories } = upper
  const createMode = process.geteuid?.() === 0 ? 0o777 : 0o600
  /** Devices that could not be made. */
  const absent = createPathSet(options.budget)
  let entries = 0
  let current = ''
  let file: OpenFile | undefined
  let aside: PayloadWriter | undefined

  return {
    entry: (entry) => naming(() => begin(entry)),
    payload: (bytes) =>
      naming(() => {
        if (file !== undefined) writePayload(file, bytes)
        else aside?.write(bytes)
      }),
    entryEnd() {
      if (file !== undefined) naming(endFile)
      aside?.end()
      aside = undefined
    },
    finish: () =>
      naming(() => {
        current = '.'
        upper.finish()
        notices.flush()
        const { whiteouts, opaques } = upper.whiteouts
        return {
          ...counts,
          entries,
          aliases: [...space.aliases],
          notices: notices.list(),
          whiteouts: style === 'list' ? [...whiteouts.keys()] : [],
          opaques: style === 'list' ? [...opaques.keys()] : [],
        }
      }),
    close() {
      const fd = file?.fd
      file = undefined
      closeEach(fd === undefined ? undefined : { close: () => close(fd) }, files, directories, space)
    },
  }

  function naming<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      const doing = `lay down "${toShortText(current)}"`
      if (!(error instanceof VarveError)) throw failure(error, doing)
      throw new VarveError(error.code, `${doing}: ${error.message}`, { cause: error })
    }
  }

  function begin(entry: TarEntry): void {
    entries++
    current = entry.path
    space.trim()
    if (entry.path === '') throw invalid('an entry without a name')
    const named = classify(entry.path)
    if (named.kind === 'plain') {
      attributes.check(entry)
      lay(entry, named.path)
      return
    }
    if (entry.stored > 0) aside = payloads.start()
    if (named.kind === 'whiteout') {
      const dir = space.find(directoryOf(named.target))
      if (dir !== undefined) upper.whiteOut(dir, baseOf(named.target))
    } else if (named.kind === 'opaque') {
      const dir = space.find(named.directory)
      if (dir !== undefined) upper.makeOpaque(dir)
    }
  }

  function lay(entry: TarEntry, path: string): void {
    if (path === '') {
      if (entry.type !== 'directory') throw invalid(`the root of a layer is a directory, not a ${entry.type}`)
      upper.directories.settle('', entry, false)
      return
    }
    const parent = directoryOf(path)
    const name = baseOf(path)
    switch (entry.type) {
      case 'file':
        layFile(parent, name, entry)
        return
      case 'directory': {
        const { dir, fresh } = upper.makeDirectory(space.directory(parent), name)
        upper.directories.settle(dir.path, entry, fresh)
        return
      }
      case 'symlink':
        laySymlink(space.directory(parent), name, entry)
        return
      case 'link':
        layLink(parent, name, entry)
        return
      default:
        laySpecial(space.directory(parent), name, entry)
    }
  }

  function layFile(parent: string, name: string, entry: TarEntry): void {
    const dir = space.directory(parent)
    const ambiguous = space.aliases.size > 0 && (space.aliases.get(parent) ?? parent) !== dir.path
    file = upper.create(dir, name, (path) => {
      const fd = open(path, CREATE, entry.mode & createMode)
      return { fd, path, where: join(dir.path, name), entry, ambiguous, segment: 0, offset: 0, end: 0 }
    })
    counts.inodes++
    counts.size += entry.size
    if (entry.sparse !== undefined) payloads.sparse(fstat(file.fd).ino, entry.sparse)
  }

  function writePayload(file: OpenFile, bytes: Uint8Array): void {
    const segments = file.entry.sparse
    if (segments === undefined) {
      put(file, bytes, file.offset)
      return
    }
    for (let done = 0; done < bytes.length; ) {
      const segment = segments[file.segment]
      if (segment === undefined) throw new Error('more payload than the sparse map has')
      const from = Math.max(file.offset, segment.offset)
      const left = segment.offset + segment.length - from
      const n = Math.min(left, bytes.length - done)
      put(file, bytes.subarray(done, done + n), from)
      if (n === left) file.segment++
      done += n
    }
  }

  function put(file: OpenFile, bytes: Uint8Array, offset: number): void {
    if (bytes.length > 0) file.end = writeAround(file.fd, bytes, offset, place.blockSize) || file.end
    file.offset = offset + bytes.length
  }

  function endFile(): void {
    if (file === undefined) return
    const { fd, path, where, entry, ambiguous } = file
    if (file.end < entry.size) ftruncate(fd, entry.size)
    attributes.file(fd, { path, where }, entry)
    // Starts writing to disk at once, in parallel with what follows, so that the sync at the end has little left to do.
    if (entry.stored > 0) syncFileRange(fd, 0, 0)
    if (ambiguous) payloads.save(path, fstat(fd), false)
    file = undefined
    files.take(fd)
    attributes.time({ path, where }, entry.mtime)
  }

  function laySymlink(dir: Dir, name: string, entry: TarEntry): void {
    upper.create(dir, name, (path) => symlink(entry.linkname, path))
    counts.inodes++
    const made = { path: place.path(dir.path, name), where: join(dir.path, name) }
    attributes.node(made, entry, 'symlink')
    attributes.time(made, entry.mtime)
  }

  /** A hard link to an entry of this layer, or to one that shows through from below, which is copied up first. */
  function layLink(parent: string, name: string, entry: TarEntry): void {
    const target = cleanPath(entry.linkname)
    const missing = () =>
      invalid(`its hard link's target "${toShortText(entry.linkname)}" does not exist (yet)`)
    const from = space.find(directoryOf(target))
    const fromName = baseOf(target)
    if (from === undefined || upper.whiteouts.whiteouts.has(join(from.path, fromName))) throw missing()
    const own = from.inLayer ? lstatOrUndefined(place.path(from.path, fromName)) : undefined
    const stat = own ?? space.entryBelow(from, fromName)
    if (stat === undefined && absent.has(join(from.path, fromName))) {
      const path = join(space.directory(parent).path, name)
      notices.leaveOut(
        { path, what: 'node' },
        `${toShortText(entry.path)}: left out, as its hard link's target is`,
      )
      return
    }
    if (stat === undefined) throw missing()
    if (target === '' || isDirectory(stat.mode)) {
      throw invalid(`its hard link's target "${toShortText(entry.linkname)}" is a directory`)
    }
    if (own === undefined) upper.copyUp(from, fromName, stat)
    const dir = space.directory(parent)
    if (dir.path === from.path && name === fromName) return
    try {
      upper.create(dir, name, (path) => link(place.path(from.path, fromName), path))
    } catch (error) {
      // The target was inside the entry that the link replaced.
      if (errnoOf(error) === 'ENOENT') throw missing()
      throw error
    }
  }

  function laySpecial(dir: Dir, name: string, entry: TarEntry): void {
    const { type, devMajor, devMinor } = entry
    const where = join(dir.path, name)
    if (type === 'char' && devMajor === 0 && devMinor === 0 && style !== 'list') {
      throw invalid(
        `overlay can't hold a device 0:0, which is its own sign for a deleted name; ${style.advice}`,
      )
    }
    if (!(devMajor >= 0 && devMajor <= 0xfff && devMinor >= 0 && devMinor <= 0xfffff)) {
      throw invalid(`device number ${devMajor}:${devMinor} is out of range`)
    }
    try {
      const mode = (TYPES[type] ?? 0) | (entry.mode & 0o777)
      upper.create(dir, name, (path) => mknod(path, mode, devMajor, devMinor))
    } catch (error) {
      // Making a device takes real root: that of a user namespace is not enough.
      if (errnoOf(error) !== 'EPERM') throw error
      const text = `${toShortText(entry.path)}: left out: only root can make a ${type} device`
      notices.leaveOut({ path: where, what: 'node' }, text)
      absent.set(where, true)
      return
    }
    counts.inodes++
    const made = { path: place.path(dir.path, name), where }
    attributes.node(made, entry, 'other')
    attributes.time(made, entry.mtime)
  }
}

function invalid(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', message)
}
