/**
 * Scratch space of one process: `tmp/<random>`, with a flock on `locks/tmp-<random>` that dies with the process, so that
 * the next one can tell what a crash left from what a living process uses.
 */
import { randomBytes } from 'node:crypto'
import { VarveError } from './errors.js'
import { mkdir, readdir, removeTree } from './sys/files.js'
import { tryLock } from './sys/lock.js'

export interface Scratch {
  /** Of its directory below `tmp/`. */
  readonly name: string
  /** An empty directory of this process, 0700; made at the first call. Byte string. */
  directory(): string
  /** A path in it that nobody else has; nothing is made there. */
  file(): string
  close(): void
}

/** `root`, a byte string, has `tmp/` and `locks/`. */
export function createScratch(root: string): Scratch {
  const name = `${process.pid}-${randomBytes(6).toString('hex')}`
  let release: (() => void) | undefined
  let files = 0
  const directory = () => {
    const path = `${root}/tmp/${name}`
    if (release !== undefined) return path
    const lock = tryLock(`${root}/locks/tmp-${name}`)
    if (lock === undefined) throw new VarveError('UNAVAILABLE', `${path}: a random name was taken; try again`)
    mkdir(path, 0o700)
    release = () => {
      removeTree(path)
      lock.release()
    }
    return path
  }
  return {
    name,
    directory,
    file: () => `${directory()}/${++files}`,
    close() {
      release?.()
      release = undefined
    },
  }
}

/** Removes the scratch space of processes that are gone; gives the names. */
export function purgeScratch(root: string): readonly string[] {
  return readdir(`${root}/tmp`).filter((name) => {
    const lock = tryLock(`${root}/locks/tmp-${name}`)
    if (lock === undefined) return false
    try {
      removeTree(`${root}/tmp/${name}`)
      return true
    } finally {
      lock.release()
    }
  })
}

/** Whether a living process holds this scratch space. */
export function isScratchInUse(root: string, name: string): boolean {
  const lock = tryLock(`${root}/locks/tmp-${name}`)
  lock?.release()
  return lock === undefined
}
