/** A driver's recipe performed: its mounts one after the other, all or none. Paths are byte strings. */

import { toText } from '../../bytes.js'
import type { Mount } from '../../driver.js'
import { type ErrorCode, messageOf, VarveError } from '../../errors.js'
import { SysError } from '../error.js'
import { close, open } from '../files.js'
import { O_PATH } from '../libc.js'
import { callMount, letGo, mountAt, restrict } from './call.js'
import { parseWords } from './options.js'
import { innerTarget, openInside } from './target.js'
import { attachTree, mountTree } from './tree.js'

export interface PerformOptions {
  /** What the directory is called in errors; '' where it needs no name. */
  readonly name?: string
  /** Makes a mount that is attached nowhere yet; undefined where it takes mount(2). */
  readonly treeOf?: (mount: Mount) => number | undefined
}

/** Attaches the mounts in order, each on top of `root` or at its own target in there. @throws VarveError */
export function perform(mounts: readonly Mount[], root: string, options: PerformOptions = {}): void {
  if (mounts.length === 0) throw noMounts()
  const { name = root, treeOf = mountTree } = options
  const places: Place[] = []
  try {
    for (const mount of mounts) {
      const called = placeName(mount, name)
      explained(mount, called, () => places.push(performOne(mount, { root, called, treeOf })))
    }
  } catch (error) {
    takeBack(places, error)
    throw error
  } finally {
    for (const { fd } of places) close(fd)
  }
}

/** The error of `work` as one that says what was mounted, and where. */
export function explained<T>(mount: Mount, name: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof SysError)) throw error
    const where = name === '' ? '' : ` on ${toText(name)}`
    const code = CODES[error.code] ?? 'FAILED_PRECONDITION'
    // Much of what overlay has to say goes to the kernel's log alone.
    const advice =
      error.code === 'EINVAL' && !error.message.endsWith(')') ? ' (see the kernel log, dmesg)' : ''
    throw new VarveError(code, `${mount.type}: mount${where}: ${error.message}${advice}`, { cause: error })
  }
}

/** The mount's place, in words; `name` is that of the whole. */
export function placeName(mount: Mount, name: string): string {
  const inner = innerTarget(mount)
  return inner === '' ? name : `${name}/${inner}`
}

export function noMounts(): VarveError {
  return new VarveError('INVALID_ARGUMENT', 'mount: the list of mounts is empty')
}

/** What a mount covers. */
interface Place {
  readonly fd: number
  readonly called: string
}

interface One {
  readonly root: string
  readonly called: string
  readonly treeOf: (mount: Mount) => number | undefined
}

/** The caller closes the place. Where it throws, nothing is mounted. */
function performOne(mount: Mount, one: One): Place {
  const place = { fd: openPlace(one.root, mount), called: one.called }
  try {
    const isWhole = attachOne(mount, place, one)
    try {
      finish(mount, isWhole, one)
    } catch (error) {
      takeBack([place], error)
      throw error
    }
    return place
  } catch (error) {
    close(place.fd)
    throw error
  }
}

/** False where mount(2) leaves flags to a second call. */
function attachOne(mount: Mount, { fd, called }: Place, { treeOf }: One): boolean {
  const tree = treeOf(mount)
  if (tree === undefined) return mountAt(mount, pathOf(fd), called)
  try {
    attachTree(tree, fd, called)
    return true
  } finally {
    close(tree)
  }
}

/** Applies the flags that can be set only once the mount is in its place. */
function finish(mount: Mount, isWhole: boolean, { root, called }: One): void {
  const { propagation } = parseWords(mount.options)
  if (isWhole && propagation === 0) return
  const top = openPlace(root, mount)
  try {
    if (!isWhole) restrict(mount, pathOf(top), called)
    if (propagation !== 0) callMount(pathOf(top), { flags: propagation, name: called })
  } finally {
    close(top)
  }
}

/** The file that is on top where the mount goes. */
function openPlace(root: string, mount: Mount): number {
  const fd = open(root, O_PATH)
  if (innerTarget(mount) === '') return fd
  try {
    return openInside(fd, mount)
  } finally {
    close(fd)
  }
}

/** Unmounts what covers the places, the last one first; where that fails too, `failure` says so. */
function takeBack(places: readonly Place[], failure: unknown): void {
  for (const { fd, called } of places.toReversed()) {
    try {
      letGo(pathOf(fd), called)
    } catch (error) {
      if (failure instanceof Error) failure.message += `; a mount stays there: ${messageOf(error)}`
    }
  }
}

/** Leads to the file that `fd` is open on, even where that is covered by now; umount2(2) takes the mount on top there. */
function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EBUSY: 'UNAVAILABLE',
  ENODEV: 'UNIMPLEMENTED',
  ENOENT: 'NOT_FOUND',
  ENOMEM: 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
}
