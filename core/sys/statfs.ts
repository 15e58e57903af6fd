/** File systems: how full, and which. */
import { statfsSync } from 'node:fs'
import { toBytes } from '../bytes.js'
import { fromNode } from './error.js'
import { enter } from './seam.js'

export interface FileSystem {
  /** Its magic number; {@link fsName} names it. */
  readonly type: number
  readonly bsize: number
  /** Blocks of `bsize`: all, free, free for those who are not root. */
  readonly blocks: number
  readonly bfree: number
  readonly bavail: number
  /** Inodes: all and free; 0 where they are made as needed. */
  readonly files: number
  readonly ffree: number
}

/** The file system that `path` is on. @throws SysError */
export function statfs(path: string): FileSystem {
  enter('statfs', path)
  try {
    const { type, bsize, blocks, bfree, bavail, files, ffree } = statfsSync(toBytes(path))
    return { type: type >>> 0, bsize, blocks, bfree, bavail, files, ffree }
  } catch (error) {
    throw fromNode(error, 'statfs', path)
  }
}

/** `btrfs`, `xfs` … (ext2, ext3 and ext4 share the magic of `extfs`); the number in hex for an unknown one. */
export function fsName(type: number): string {
  return NAMES.get(type) ?? `0x${type.toString(16)}`
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [0x61756673, 'aufs'],
  [0x9123683e, 'btrfs'],
  [0x0000ef53, 'extfs'],
  [0x58465342, 'xfs'],
  [0x2fc12fc1, 'zfs'],
  [0x794c7630, 'overlayfs'],
  [0x01021994, 'tmpfs'],
  [0x6969, 'nfs'],
  [0xf15f, 'ecryptfs'],
  [0x65735546, 'fuse'],
  [0xe0f5e1e2, 'erofs'],
  [0xf2f52010, 'f2fs'],
  [0x858458f6, 'ramfs'],
  [0x73717368, 'squashfs'],
])
