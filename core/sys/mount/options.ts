/** The words of an fstab line as what mount(2) and the newer calls take (include/uapi/linux/mount.h). */
import type { Mount } from '../../driver.js'

export interface MountWords {
  /** MS_* for mount(2). */
  readonly flags: number
  /** Of these, what is to be the mount's alone (`ro=vfs`): mount(2) takes it by a second call. */
  readonly own: number
  /** MOUNT_ATTR_* to set and to clear, for fsmount(2) and mount_setattr(2). */
  readonly attributes: number
  readonly cleared: number
  /** Flags of the file system rather than of the mount: `ro`, `sync` … */
  readonly superFlags: readonly string[]
  /** MS_PRIVATE …, with MS_REC for the `r` forms; 0 where nothing is said. */
  readonly propagation: number
  /** What is the file system's own, `KEY=VALUE` or `KEY`. */
  readonly data: readonly string[]
}

export const MS_RDONLY = 0x1
export const MS_BIND = 0x1000
export const MS_REC = 0x4000
export const MS_REMOUNT = 0x20
export const MS_PRIVATE = 1 << 18

export function isBind({ type }: Mount): boolean {
  return type === 'bind' || type === 'rbind'
}

/** Of a bind: with all that is mounted below? */
export function isRecursive({ type, options }: Mount): boolean {
  return type === 'rbind' || options.includes('rbind')
}

/** `private`, `rshared` …: how mounts of others spread to it and its own to them. */
export function isPropagation(word: string): boolean {
  return word in PROPAGATION
}

/** `bind` and `rbind` among the words are left out: a mount's type says that. */
export function parseWords(options: readonly string[]): MountWords {
  const words = { flags: 0, attributes: 0, cleared: 0, propagation: 0 }
  let ofSuper = 0
  const data: string[] = []
  for (const option of options) {
    const set = SET[option]
    const clear = CLEAR[option]
    const propagation = PROPAGATION[option]
    if (set !== undefined) {
      words.flags |= set.flag
      if (set.superFlag === true) ofSuper |= set.flag
      words.attributes |= set.attribute
      words.cleared = (words.cleared & ~set.attribute) | (set.atime ? ATIME : 0)
    } else if (clear !== undefined) {
      words.flags &= ~clear.flag
      ofSuper &= ~clear.flag
      words.attributes &= ~clear.attribute
      words.cleared |= clear.attribute
    } else if (propagation !== undefined) words.propagation = propagation
    else if (!IGNORED.has(option)) data.push(option)
  }
  const superFlags = Object.entries(SET)
    .filter(([, word]) => word.superFlag === true && (ofSuper & word.flag) !== 0)
    .map(([name]) => name)
  return { ...words, own: words.flags & MS_RDONLY & ~ofSuper, superFlags, data }
}

interface Word {
  readonly flag: number
  readonly attribute: number
  readonly superFlag?: boolean
  readonly atime?: boolean
}

const SET: Readonly<Record<string, Word>> = {
  ro: { flag: 1, attribute: 1, superFlag: true },
  // mount(8) of util-linux 2.39: only this mount, while the file system may be writable through another.
  'ro=vfs': { flag: 1, attribute: 1 },
  nosuid: { flag: 2, attribute: 2 },
  nodev: { flag: 4, attribute: 4 },
  noexec: { flag: 8, attribute: 8 },
  sync: { flag: 0x10, attribute: 0, superFlag: true },
  mand: { flag: 0x40, attribute: 0, superFlag: true },
  dirsync: { flag: 0x80, attribute: 0, superFlag: true },
  nosymfollow: { flag: 0x100, attribute: 0x200000 },
  noatime: { flag: 0x400, attribute: 0x10, atime: true },
  nodiratime: { flag: 0x800, attribute: 0x80 },
  silent: { flag: 0x8000, attribute: 0 },
  relatime: { flag: 1 << 21, attribute: 0, atime: true },
  strictatime: { flag: 1 << 24, attribute: 0x20, atime: true },
  lazytime: { flag: 1 << 25, attribute: 0, superFlag: true },
}

const CLEAR: Readonly<Record<string, Word>> = {
  rw: { flag: 1, attribute: 1 },
  suid: { flag: 2, attribute: 2 },
  dev: { flag: 4, attribute: 4 },
  exec: { flag: 8, attribute: 8 },
  async: { flag: 0x10, attribute: 0 },
  symfollow: { flag: 0x100, attribute: 0x200000 },
  diratime: { flag: 0x800, attribute: 0x80 },
}

const PROPAGATION: Readonly<Record<string, number>> = {
  unbindable: 1 << 17,
  private: MS_PRIVATE,
  slave: 1 << 19,
  shared: 1 << 20,
  runbindable: (1 << 17) | MS_REC,
  rprivate: MS_PRIVATE | MS_REC,
  rslave: (1 << 19) | MS_REC,
  rshared: (1 << 20) | MS_REC,
}

const IGNORED = new Set(['defaults', 'bind', 'rbind', ''])
const ATIME = 0x70
