/**
 * Where an extraction works: a directory that no path leads out of. As root, the thread's root is changed to it, so the
 * kernel keeps every path inside. Without root, each parent directory is opened below it with openat2(2), and entries are
 * reached through that descriptor.
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { close, open } from '../sys/files.js'
import { enterJail, type Jail } from '../sys/jail.js'
import { at, openDirectory } from '../tree/confined.js'
import { blockSizeOf } from '../tree/holes.js'

export interface Place {
  /** The thread's root is changed, with umask 0. */
  readonly jailed: boolean
  /** Of its file system, in bytes: the granularity of holes. */
  readonly blockSize: number
  /**
   * A path for system calls on entry `name` ('.' for itself) of the real directory `dir`. It stays valid until paths in two
   * other directories have been asked for.
   */
  path(dir: string, name: string): string
  /** To be called when a directory is removed: its path may be made anew. */
  forget(): void
  /** Runs `work` outside the jail, with /proc and the rest of the host in view: only for reading through descriptors. */
  outside<T>(work: () => T): T
  leave(): void
}

/** `dir` is a byte string. In a worker thread only. */
export function enterPlace(dir: string): Place {
  if (process.geteuid?.() !== 0) return createConfined(dir)
  try {
    return createJailed(dir)
  } catch (error) {
    // Root without CAP_SYS_CHROOT, as some containers have it.
    if (errnoOf(error) !== 'EPERM') throw error
    return createConfined(dir)
  }
}

function createJailed(dir: string): Place {
  const blockSize = blockSizeOf(dir)
  let jail: Jail | undefined = enterJail(dir)
  const leave = () => {
    jail?.leave()
    jail = undefined
  }
  return {
    jailed: true,
    blockSize,
    path: (parent, name) => (parent === '' ? `/${name}` : `/${parent}/${name}`),
    forget: () => {},
    outside(work) {
      leave()
      try {
        return work()
      } finally {
        jail = enterJail(dir)
      }
    },
    leave,
  }
}

/** Two parents are kept open: a hard link names two. */
function createConfined(dir: string): Place {
  const blockSize = blockSizeOf(dir)
  const root = open(dir, constants.O_RDONLY | constants.O_DIRECTORY)
  const tree = { fd: root, close: () => close(root) }
  const opened: { readonly path: string; readonly fd: number }[] = []
  const forget = () => {
    for (const { fd } of opened.splice(0)) close(fd)
  }
  const descriptor = (path: string): number => {
    const index = opened.findIndex((entry) => entry.path === path)
    const fd = opened.splice(index, index < 0 ? 0 : 1)[0]?.fd ?? openDirectory(tree, path)
    opened.push({ path, fd })
    if (opened.length > 2) close(opened.shift()?.fd ?? -1)
    return fd
  }
  return {
    jailed: false,
    blockSize,
    path(parent, name) {
      return at(descriptor(parent), name)
    },
    forget,
    outside: (work) => work(),
    leave() {
      forget()
      tree.close()
    },
  }
}
