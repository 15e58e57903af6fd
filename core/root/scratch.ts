/**
 * Scratch space of one process: `tmp/<random>`, with a flock on `locks/tmp-<random>` that dies with the process, so that
 * the next one can tell what a crash left from what a living process uses.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, removeTree } from '../sys/files.js'
import { type Lock, lockFresh, tryLock } from '../sys/lock.js'

export interface Scratch {
  /** Of its directory below `tmp/`, which reading this makes. */
  readonly name: string
  /** An empty directory of this process, 0700; made at the first call. Byte string. */
  directory(): string
  /** A path in it that nobody else has; nothing is made there. */
  file(): string
  close(): void
}

/** `root`, a byte string, has `tmp/` and `locks/`. */
export function createScratch(root: string): Scratch {
  let held: { readonly name: string; readonly lock: Lock } | undefined
  let files = 0
  const hold = (): string => {
    if (held !== undefined) return held.name
    const fresh = lockFresh(randomName, (name) => tryLock(`${root}/locks/tmp-${name}`))
    try {
      mkdir(`${root}/tmp/${fresh.name}`, 0o700)
    } catch (error) {
      fresh.lock.release()
      throw error
    }
    held = fresh
    return fresh.name
  }
  const directory = () => `${root}/tmp/${hold()}`
  return {
    get name() {
      return hold()
    },
    directory,
    file: () => `${directory()}/${++files}`,
    close() {
      if (held === undefined) return
      const { name, lock } = held
      held = undefined
      try {
        removeTree(`${root}/tmp/${name}`)
      } finally {
        lock.release()
      }
    },
  }
}

/** All scratch spaces, whoever has them. Anything with another kind of name does not belong to the store. */
export function scratchNames(root: string): readonly string[] {
  return readdir(`${root}/tmp`).filter((name) => NAME.test(name))
}

/** What lies in `tmp/` and is no scratch space. */
export function strangersIn(root: string): readonly string[] {
  return readdir(`${root}/tmp`).filter((name) => !NAME.test(name))
}

/** Removes a scratch space whose process is gone. False: the process lives. */
export function purgeScratch(root: string, name: string): boolean {
  const lock = tryLock(`${root}/locks/tmp-${name}`)
  if (lock === undefined) return false
  try {
    removeTree(`${root}/tmp/${name}`)
    return true
  } finally {
    lock.release()
  }
}

/** Whether a living process holds this scratch space. */
export function isScratchInUse(root: string, name: string): boolean {
  const lock = tryLock(`${root}/locks/tmp-${name}`)
  lock?.release()
  return lock === undefined
}

/** The names that `randomName` makes. */
const NAME = /^\d+-[0-9a-f]+$/

function randomName(): string {
  return `${process.pid}-${randomBytes(6).toString('hex')}`
}
