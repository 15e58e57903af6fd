/** The walk of heal.ts: two trees side by side, by directory descriptors, so that no symlink leads out of either. */
import { constants } from 'node:fs'
import { toShortText } from '../bytes.js'
import { baseOf, directoryOf, join } from '../paths.js'
import { closeEach } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { close, link, mkdir, mknod, open, readlinkAt, removeTree, symlink } from '../sys/files.js'
import { fstat, isChar, isDirectory, isFile, isSymlink, lstatAt, type Stat } from '../sys/stat.js'
import { at, enterDirectory, lstatAtOrUndefined, openTree, statsIn, type Tree } from '../tree/confined.js'
import { blockSizeOf } from '../tree/holes.js'
import { PERMISSIONS } from '../tree/own-access.js'
import type { HealedTree, HealJob } from './heal.js'
import { healAttributes } from './heal-attributes.js'
import { healContent } from './heal-content.js'

const TYPE = 0o170000
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

/** `checkpoint` is called once per entry and may throw. */
export function healTreeSync(job: HealJob, checkpoint: () => void): HealedTree {
  const { damaged, good, ignore, whiteouts } = job
  const here = openTree(damaged)
  const block = blockSizeOf(damaged)
  let there: Tree | undefined
  /** Inodes of the good tree with several names → the first path that each has in the damaged tree by now. */
  const placed = new Map<number, string>()
  /** Inodes of the damaged tree → the inodes of the good tree that they stand for. */
  const taken = new Map<number, number>()
  let changed = 0
  let renamed = false
  let current = ''
  try {
    there = openTree(good)
    healDirectory('', there)
    return { changed, renamed }
  } catch (error) {
    throw failure(error, `heal "${toShortText(current)}" of ${toShortText(damaged)}`)
  } finally {
    closeEach(there, here)
  }

  /** Depth first, and a directory's own attributes last: changes inside it change its time. */
  function healDirectory(top: string, source: Tree): void {
    const stack: { readonly path: string; readonly below: string[] }[] = [enter(top, source)]
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const next = frame.below.pop()
      if (next !== undefined) {
        stack.push(enter(next, source))
        continue
      }
      stack.pop()
      inBoth(frame.path, source, (from, to) => {
        const [wanted, actual] = [fstat(from), fstat(to)]
        note(healAttributes(at(from, '.'), at(to, '.'), { wanted, actual, ignore }))
      })
    }
  }

  function enter(path: string, source: Tree): { readonly path: string; readonly below: string[] } {
    const below: string[] = []
    inBoth(path, source, (from, to) => {
      const wanted = statsIn(from)
      for (const name of statsIn(to).keys()) {
        if (wanted.has(name)) continue
        checkpoint()
        current = join(path, name)
        removeTree(at(to, name))
        note(true)
        renamed = true
      }
      for (const [name, stat] of wanted) {
        checkpoint()
        current = join(path, name)
        healEntry(from, to, name, stat)
        if (isDirectory(stat.mode)) below.push(current)
      }
    })
    return { path, below }
  }

  function inBoth(path: string, source: Tree, work: (from: number, to: number) => void): void {
    const from = enterDirectory(source, path)
    try {
      const to = enterDirectory(here, path)
      try {
        work(from.fd, to.fd)
      } finally {
        to.close()
      }
    } finally {
      from.close()
    }
  }

  function healEntry(from: number, to: number, name: string, wanted: Stat): void {
    const path = current
    const first = isDirectory(wanted.mode) ? undefined : placed.get(wanted.ino)
    let actual = lstatAtOrUndefined(to, name)
    if (first !== undefined) {
      if (actual !== undefined && actual.ino === inodeAt(first)) return
      replace(to, name, () => linkTo(first, at(to, name)))
      return
    }
    if (wanted.nlink > 1 && !isDirectory(wanted.mode)) placed.set(wanted.ino, path)
    if (actual === undefined || !isSameKind(from, to, name, wanted, actual)) {
      replace(to, name, () => make(from, to, name, wanted))
      actual = lstatAt(to, name)
    }
    if (!isDirectory(wanted.mode)) taken.set(actual.ino, wanted.ino)
    if (isDirectory(wanted.mode) || (whiteouts && isWhiteout(wanted))) return
    let wrote = false
    if (isFile(wanted.mode)) {
      const result = healContent(from, to, name, { wanted, actual, block })
      wrote = result !== 'same'
      if (result === 'replaced') {
        renamed = true
        actual = lstatAt(to, name)
        taken.set(actual.ino, wanted.ino)
      }
    }
    const now = wrote ? lstatAt(to, name) : actual
    const attributes = healAttributes(at(from, name), at(to, name), { wanted, actual: now, ignore })
    note(wrote || attributes)
  }

  /** Can the damaged entry be mended in place? */
  function isSameKind(from: number, to: number, name: string, wanted: Stat, actual: Stat): boolean {
    if ((wanted.mode & TYPE) !== (actual.mode & TYPE)) return false
    if (isDirectory(wanted.mode)) return true
    // Two files that a wrong hard link made one.
    const owner = taken.get(actual.ino)
    if (owner !== undefined && owner !== wanted.ino) return false
    if (wanted.nlink === 1 && actual.nlink > 1) return false
    if (isSymlink(wanted.mode)) return readlinkAt(from, name) === readlinkAt(to, name)
    return wanted.rdevMajor === actual.rdevMajor && wanted.rdevMinor === actual.rdevMinor
  }

  function replace(to: number, name: string, work: () => void): void {
    removeTree(at(to, name))
    work()
    note(true)
    renamed = true
  }

  function linkTo(first: string, path: string): void {
    inParent(first, (parent) => link(at(parent, baseOf(first)), path))
  }

  function inodeAt(path: string): number | undefined {
    return inParent(path, (parent) => lstatAtOrUndefined(parent, baseOf(path))?.ino)
  }

  /** Runs `work` with the parent directory of `path` in the damaged tree. */
  function inParent<T>(path: string, work: (parent: number) => T): T {
    const parent = enterDirectory(here, directoryOf(path))
    try {
      return work(parent.fd)
    } finally {
      parent.close()
    }
  }

  function note(isChanged: boolean): void {
    if (isChanged) changed++
  }
}

/** Makes an empty entry of the same kind; its content and attributes follow. */
function make(from: number, to: number, name: string, stat: Stat): void {
  const { mode, rdevMajor, rdevMinor } = stat
  const path = at(to, name)
  if (isFile(mode)) close(open(path, CREATE, 0o600))
  else if (isDirectory(mode)) mkdir(path, 0o700)
  else if (isSymlink(mode)) symlink(readlinkAt(from, name), path)
  else mknod(path, (mode & TYPE) | (isWhiteout(stat) ? mode & PERMISSIONS : 0o600), rdevMajor, rdevMinor)
}

/** Only with HealOptions.whiteouts; otherwise it is a device like any other. */
function isWhiteout({ mode, rdevMajor, rdevMinor }: Stat): boolean {
  return isChar(mode) && rdevMajor === 0 && rdevMinor === 0
}
