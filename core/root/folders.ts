/** The data root's own directories. */
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { fromText } from '../bytes.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import { BACKUP, RECORDS } from '../journal/place.js'
import { chmod, readdir, removeTree, rename } from '../sys/files.js'
import { WHAT_FREES } from '../sys/full.js'
import { ensureDirectory } from '../sys/lenient.js'
import { type Lock, lock, tryLock } from '../sys/lock.js'
import { lstatOrUndefined, stat } from '../sys/stat.js'
import { refuseForeignMembers, refuseForeignRoot } from './ownership.js'
import { createReserve, RESERVE } from './reserve.js'

/** `mnt`: mount points; `tmp`: scratch space; `locks`: all locks but those of layers, which are in layers.lock. */
const FOLDERS = ['locks', 'tmp', 'mnt'] as const
/** Folders that are made when they are needed. */
const LATER_FOLDERS = [RESERVE, RECORDS, BACKUP, `${RECORDS}/begun`, `${RECORDS}/made`] as const
/** The store's files in the root. */
const FILES = [
  'varve.db',
  'varve.db-wal',
  'varve.db-shm',
  'varve.db-journal',
  'layers.lock',
  `${RECORDS}/journal`,
] as const
const MAX_TRIES = 100

/** What preparing a root has made or changed. */
export interface Made {
  /** The root itself. */
  readonly made: boolean
  /** Its folders. */
  readonly folders: readonly string[]
  /** The mode that it had, where it was changed. */
  readonly mode: number | undefined
}

/**
 * Makes the root, 0700, and its folders, where they are missing; its parent must exist, and it must be ours (ownership.ts).
 * @throws VarveError FAILED_PRECONDITION
 */
export function prepareRoot(root: string, warn?: Warn): Made {
  try {
    return make(root, { warn })
  } catch (error) {
    throw explained(root, error)
  }
}

/**
 * {@link prepareRoot}, which also takes the lock `open` that keeps {@link removeRoot} off: to be held until the database
 * says which driver the root belongs to. @throws VarveError FAILED_PRECONDITION
 */
export async function openDataRoot(
  root: string,
  options: OpenRootOptions = {},
): Promise<Made & { readonly opening: Lock }> {
  for (let tries = 1; ; tries++) {
    try {
      const made = make(root, options)
      return { ...made, opening: await lock(`${fromText(root)}/locks/open`) }
    } catch (error) {
      // ENOENT although the parent exists: whoever made the root has just removed it again, so we make it.
      if (errnoOf(error) !== 'ENOENT' || tries === MAX_TRIES || isMissing(dirname(root)))
        throw explained(root, error)
    }
  }
}

type Warn = (message: string) => void

interface OpenRootOptions {
  readonly warn?: Warn | undefined
  /** Folders of the drivers, made by {@link ensureFolder}. */
  readonly homes?: readonly string[]
}

/** Makes a folder in the root, if it is missing; returns its path, a byte string. @throws VarveError FAILED_PRECONDITION */
export function ensureFolder(root: string, name: string): string {
  const path = `${fromText(root)}/${name}`
  try {
    ensureDirectory(path)
    refuseForeignMembers(root, { folders: [name], files: [] })
    return path
  } catch (error) {
    throw explained(root, error)
  }
}

/**
 * Removes a root that {@link prepareRoot} made and that turned out useless, unless another process uses it: whoever opens a
 * fresh root holds a lock in it, or waits for one. One rename takes it away, so that nobody sees half of it. `isUnused` is
 * called when nobody can make a store in it any more. Returns whether the root was removed.
 */
export function removeRoot(root: string, isUnused: () => boolean = () => true): boolean {
  const path = fromText(root)
  return withAllLocks(path, () => {
    if (!isUnused()) return false
    const gone = `${path}.gone-${randomBytes(6).toString('hex')}`
    rename(path, gone)
    removeTree(gone)
    return true
  })
}

/**
 * The same for a root that existed before, empty or with other people's files: removes only what was `made` there, and the
 * `files` of the same opening. A process that waits for the lock `open` finds it gone, and starts over.
 */
export function clearRoot(
  root: string,
  made: Made,
  files: readonly string[],
  isUnused: () => boolean,
): boolean {
  const path = fromText(root)
  // If the folder of locks existed before, others may use the root and hold no lock at the moment.
  if (!made.folders.includes('locks')) return false
  return withAllLocks(path, () => {
    if (!isUnused()) return false
    for (const name of [...files, ...made.folders.filter((folder) => folder !== 'locks')]) {
      if (!isMissing(`${root}/${name}`)) removeTree(`${path}/${name}`)
    }
    if (made.mode !== undefined) chmod(path, made.mode)
    const gone = `${path}/.gone-${randomBytes(6).toString('hex')}`
    rename(`${path}/locks`, gone)
    removeTree(gone)
    return true
  })
}

/** False, and nothing done, where another process holds one of them. */
function withAllLocks(path: string, work: () => boolean): boolean {
  const locks: Lock[] = []
  try {
    for (const name of new Set(['open', ...readdir(`${path}/locks`)])) {
      const lock = tryLock(`${path}/locks/${name}`)
      if (lock === undefined) return false
      locks.push(lock)
    }
    return work()
  } finally {
    for (const lock of locks) lock.release()
  }
}

function make(root: string, { warn = () => {}, homes = [] }: OpenRootOptions): Made {
  const path = fromText(root)
  const made = ensureDirectory(path)
  refuseForeignRoot(root)
  refuseForeignMembers(root, { folders: [...FOLDERS, ...LATER_FOLDERS, ...homes], files: FILES })
  if (!made) createReserve(path).makeRoom()
  const folders = FOLDERS.filter((folder) => ensureDirectory(`${path}/${folder}`))
  return { made, folders, mode: made ? undefined : keepPrivate(root, warn) }
}

/**
 * Layers hold setuid programs and other people's secrets. A folder that holds other things too (`/`) stays as it is. Returns
 * the old mode, where that was changed.
 */
function keepPrivate(root: string, warn: Warn): number | undefined {
  const path = fromText(root)
  const { mode } = stat(path)
  if ((mode & 0o077) === 0) return undefined
  const names = readdir(path)
  const isOurs = names.includes('varve.db') || names.length === FOLDERS.length
  if (isOurs) chmod(path, 0o700)
  const was = (mode & 0o7777).toString(8).padStart(4, '0')
  warn(
    `root ${root}: its mode was ${was}, open to others; ${isOurs ? 'it is 0700 now' : 'better make it 0700'}`,
  )
  return isOurs ? mode & 0o7777 : undefined
}

function isMissing(directory: string): boolean {
  return lstatOrUndefined(fromText(directory)) === undefined
}

function explained(root: string, error: unknown): unknown {
  if (error instanceof VarveError) return error
  const advice: Readonly<Record<string, string>> = {
    ENOENT: `; make ${dirname(root)} first`,
    EACCES: '; it must be writable for this user, or choose another with --root',
    EPERM: '; it must be writable for this user, or choose another with --root',
    EROFS: '; its file system is read-only, choose another with --root',
    ENOSPC: `; its file system is full. ${WHAT_FREES}`,
    EDQUOT: '; the quota is used up',
  }
  const errno = errnoOf(error) ?? ''
  const code = errno === 'ENOSPC' || errno === 'EDQUOT' ? 'RESOURCE_EXHAUSTED' : 'FAILED_PRECONDITION'
  return new VarveError(code, `root ${root}: ${messageOf(error)}${advice[errno] ?? ''}`, { cause: error })
}
