/**
 * btrfs by ioctl(2): subvolumes, the space they take, and the command stream of the changes between two of them. Structs
 * and numbers are those of include/uapi/linux/btrfs.h and btrfs_tree.h. Paths are byte strings; every call throws SysError.
 */
import { constants } from 'node:fs'
import { basename, dirname } from 'node:path/posix'
import { SysError } from '../../core/sys/error.js'
import { close, open } from '../../core/sys/files.js'
import {
  addressOf,
  check,
  EINVAL,
  ENAMETOOLONG,
  ENOENT,
  errno,
  ioctlInPool,
  libc,
} from '../../core/sys/libc.js'
import { type Call, enter } from '../../core/sys/seam.js'

export interface SubvolumeInfo {
  /** The number of its tree; in qgroups `0/ID`. */
  readonly id: number
  /** Hex, without dashes; all zeros for none. */
  readonly uuid: string
  /** Of the subvolume that it is a snapshot of. */
  readonly parentUuid: string
  /** The last transaction that changed a file or directory in it. */
  readonly changed: number
  readonly readonly: boolean
}

/** A subvolume inside another one. */
export interface ChildSubvolume {
  readonly id: number
  /** Relative to the root of the subvolume it is in. */
  readonly path: string
}

export interface QgroupNumbers {
  /** Bytes that can be reached from the subvolume. */
  readonly referenced: number
  /** Bytes that only it holds. */
  readonly exclusive: number
}

/** The inode number of every subvolume's root. */
export const SUBVOLUME_INODE = 256
/** Where its source has a subvolume inside, a snapshot has an empty directory with this inode number. */
export const PLACEHOLDER_INODE = 2

export function createSubvolume(path: string): void {
  byName('subvol_create', IOC_SUBVOL_CREATE, path, volArgs(path))
}

/** `path` becomes a snapshot of `source`, on disk when this returns. EEXIST, ENOENT, EPERM, EXDEV. */
export function createSnapshot(source: string, path: string, readonly: boolean): void {
  const sourceFd = open(source, DIRECTORY | constants.O_NOFOLLOW)
  try {
    const args = Buffer.alloc(4096)
    args.writeBigInt64LE(BigInt(sourceFd), 0)
    args.writeBigUInt64LE(readonly ? SUBVOL_RDONLY : 0n, 16)
    writeName(args, 56, 4039, path)
    byName('snap_create', IOC_SNAP_CREATE_V2, path, args)
  } finally {
    close(sourceFd)
  }
}

/** ENOTEMPTY if another subvolume is inside. Removes a read-only one too. */
export function destroySubvolume(path: string): void {
  byName('snap_destroy', IOC_SNAP_DESTROY, path, volArgs(path))
}

/** Durable when this returns. The subvolume's data must be on disk before (`syncfs`). */
export function setSubvolumeReadonly(path: string, readonly: boolean): void {
  const bytes = Buffer.alloc(8)
  withDirectory(path, (fd) => {
    ioctl('subvol_getflags', fd, IOC_SUBVOL_GETFLAGS, bytes, path)
    const flags = bytes.readBigUInt64LE()
    const wanted = readonly ? flags | SUBVOL_RDONLY : flags & ~SUBVOL_RDONLY
    if (wanted === flags) return
    bytes.writeBigUInt64LE(wanted)
    ioctl('subvol_setflags', fd, IOC_SUBVOL_SETFLAGS, bytes, path)
  })
}

export function isReadonly(path: string): boolean {
  const bytes = Buffer.alloc(8)
  withDirectory(path, (fd) => ioctl('subvol_getflags', fd, IOC_SUBVOL_GETFLAGS, bytes, path))
  return (bytes.readBigUInt64LE() & SUBVOL_RDONLY) !== 0n
}

/** ENOTTY before Linux 4.18. */
export function subvolumeInfo(path: string): SubvolumeInfo {
  const info = Buffer.alloc(504)
  withDirectory(path, (fd) => ioctl('subvol_info', fd, IOC_GET_SUBVOL_INFO, info, path))
  return {
    id: u64(info, 0),
    uuid: info.toString('hex', 296, 312),
    parentUuid: info.toString('hex', 312, 328),
    changed: u64(info, 344),
    // The flag as the tree root has it on disk; SUBVOL_GETFLAGS uses another bit for it.
    readonly: (info.readBigUInt64LE(288) & 1n) !== 0n,
  }
}

/** The subvolumes directly inside this one. ENOTTY before Linux 4.18; ENAMETOOLONG past 3,800 bytes. */
export function childSubvolumes(path: string): readonly ChildSubvolume[] {
  const children: ChildSubvolume[] = []
  withDirectory(path, (fd) => {
    const refs = Buffer.alloc(4096)
    for (let from = 0; ; ) {
      refs.fill(0)
      refs.writeBigUInt64LE(BigInt(from), 0)
      enter('subvol_rootref', path)
      const more = libc.ioctlStruct(fd, IOC_GET_SUBVOL_ROOTREF, refs) < 0
      if (more && errno() !== EOVERFLOW) throw new SysError(errno(), 'subvol_rootref', path)
      const count = refs[4088] as number
      for (let i = 0; i < count; i++) {
        const id = u64(refs, 8 + i * 16)
        children.push({ id, path: lookup(fd, id, refs.readBigUInt64LE(16 + i * 16), path) })
        from = id + 1
      }
      if (!more || count === 0) return
    }
  })
  return children
}

/**
 * All paths of the inode below the subvolume root that `fd` has open. Undefined if they are more than one call returns
 * (4 KiB): then a walk must find them.
 */
export function inodePaths(fd: number, ino: number): readonly string[] | undefined {
  inodeArgs.writeBigUInt64LE(BigInt(ino), 0)
  inodeArgs.writeBigUInt64LE(BigInt(found.length), 8)
  inodeArgs.writeBigUInt64LE(addressOf(found), 48)
  enter('ino_paths')
  if (libc.ioctlStruct(fd, IOC_INO_PATHS, inodeArgs) < 0) {
    if (errno() === ENOENT) return [] // no such inode in this tree
    throw new SysError(errno(), 'ino_paths')
  }
  if (found.readUInt32LE(12) > 0) return undefined
  const paths: string[] = []
  for (let i = 0; i < found.readUInt32LE(8); i++) {
    const start = 16 + u64(found, 16 + i * 8)
    paths.push(found.toString('latin1', start, found.indexOf(0, start)))
  }
  return paths
}

/**
 * Writes to the descriptor `into` the commands (without file data) that make the snapshot `parent` (a subvolume id; 0:
 * the empty tree) into the subvolume that `fd` has open, both read-only. Blocks until it is all written or the reader has
 * closed its end (EPIPE).
 */
export function send(fd: number, into: number, parent: number): void {
  ioctl('send', fd, IOC_SEND, sendArgs(into, parent))
}

/** {@link send} in libuv's pool. `into` must not block: two of these waiting for a reader could hold the whole pool. */
export async function sendInPool(fd: number, into: number, parent: number): Promise<void> {
  enter('send')
  const error = await ioctlInPool(fd, IOC_SEND, sendArgs(into, parent))
  if (error !== 0) throw new SysError(error, 'send')
}

/** Enables quotas, which count space by subvolume, for the whole file system. */
export function enableQuota(path: string): void {
  const args = Buffer.alloc(16)
  args.writeBigUInt64LE(QUOTA_CTL_ENABLE, 0)
  withDirectory(path, (fd) => ioctl('quota_enable', fd, IOC_QUOTA_CTL, args, path), DIRECTORY)
}

/** Limits the bytes that the subvolume refers to (EDQUOT past it); undefined: no limit. ENOTCONN without quotas. */
export function limitSubvolume(path: string, bytes: number | undefined): void {
  const args = Buffer.alloc(48)
  args.writeBigUInt64LE(QGROUP_LIMIT_MAX_RFER, 8)
  args.writeBigUInt64LE(bytes === undefined ? NO_LIMIT : BigInt(bytes), 16)
  withDirectory(path, (fd) => ioctl('qgroup_limit', fd, IOC_QGROUP_LIMIT, args, path))
}

/** Removes the qgroup of a subvolume that was removed. `path`: any directory of the file system. */
export function removeQgroup(path: string, id: number): void {
  const args = Buffer.alloc(16)
  args.writeBigUInt64LE(BigInt(id), 8)
  withDirectory(path, (fd) => ioctl('qgroup_remove', fd, IOC_QGROUP_CREATE, args, path), DIRECTORY)
}

/** As of the last transaction; undefined without quotas, or without a qgroup for it. */
export function qgroupNumbers(path: string, id: number): QgroupNumbers | undefined {
  const item = quotaItem(path, id, QGROUP_INFO_KEY)
  return item && { referenced: u64(item, 8), exclusive: u64(item, 24) }
}

/** The limit in bytes; undefined if there is none. */
export function qgroupLimit(path: string, id: number): number | undefined {
  const item = quotaItem(path, id, QGROUP_LIMIT_KEY)
  if (item === undefined || (item.readBigUInt64LE(0) & QGROUP_LIMIT_MAX_RFER) === 0n) return undefined
  return u64(item, 8)
}

/** Are quotas enabled here? */
export function hasQuota(path: string): boolean {
  return searchQuota(path, 0, QGROUP_STATUS_KEY) !== undefined
}

function quotaItem(path: string, id: number, type: number): Buffer | undefined {
  const found = searchQuota(path, id, type)
  return found === undefined || found.length === 0 ? undefined : found
}

/** The item `(0, type, id)` of the quota tree, empty where it is missing; undefined where there is no such tree. */
function searchQuota(path: string, id: number, type: number): Buffer | undefined {
  const args = Buffer.alloc(112 + 256)
  args.writeBigUInt64LE(QUOTA_TREE, 0)
  args.writeBigUInt64LE(BigInt(id), 24)
  args.writeBigUInt64LE(BigInt(id), 32)
  args.writeBigUInt64LE(2n ** 64n - 1n, 48)
  args.writeUInt32LE(type, 56)
  args.writeUInt32LE(type, 60)
  args.writeUInt32LE(1, 64)
  args.writeBigUInt64LE(256n, 104)
  const search = (fd: number): boolean => {
    enter('tree_search', path)
    if (libc.ioctlStruct(fd, IOC_TREE_SEARCH_V2, args) === 0) return true
    if (errno() === ENOENT) return false // no quota tree: quota was never enabled
    throw new SysError(errno(), 'tree_search', path)
  }
  const known = withDirectory(path, search, DIRECTORY)
  if (!known) return undefined
  if (args.readUInt32LE(64) === 0) return Buffer.alloc(0)
  return args.subarray(112 + 32, 112 + 32 + args.readUInt32LE(112 + 28))
}

function lookup(fd: number, id: number, directory: bigint, path: string): string {
  const args = Buffer.alloc(4096)
  args.writeBigUInt64LE(directory, 0)
  args.writeBigUInt64LE(BigInt(id), 8)
  ioctl('ino_lookup', fd, IOC_INO_LOOKUP_USER, args, path)
  return text(args, 272) + text(args, 16)
}

function sendArgs(into: number, parent: number): Buffer {
  const args = Buffer.alloc(72)
  args.writeBigInt64LE(BigInt(into), 0)
  args.writeBigUInt64LE(BigInt(parent), 24)
  args.writeBigUInt64LE(SEND_FLAG_NO_FILE_DATA, 32)
  return args
}

/** Requests that name a subvolume in an open directory, which may be given as `/proc/self/fd/N`. */
function byName(call: Call, request: number, path: string, args: Buffer): void {
  withDirectory(dirname(path), (fd) => ioctl(call, fd, request, args, path), DIRECTORY)
}

function volArgs(path: string): Buffer {
  const args = Buffer.alloc(4096)
  writeName(args, 8, 4087, path)
  return args
}

function writeName(args: Buffer, offset: number, limit: number, path: string): void {
  const name = basename(path)
  if (name === '' || name === '.' || name === '..') throw new SysError(EINVAL, 'path', path)
  if (name.length > limit) throw new SysError(ENAMETOOLONG, 'path', path)
  args.write(name, offset, 'latin1')
}

function ioctl(call: Call, fd: number, request: number, args: Uint8Array, path?: string): void {
  enter(call, path)
  check(libc.ioctlStruct(fd, request, args), call, path)
}

function withDirectory<T>(path: string, use: (fd: number) => T, flags = DIRECTORY | constants.O_NOFOLLOW): T {
  const fd = open(path, flags)
  try {
    return use(fd)
  } finally {
    close(fd)
  }
}

function text(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, bytes.indexOf(0, start))
}

function u64(bytes: Buffer, offset: number): number {
  return Number(bytes.readBigUInt64LE(offset))
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const EOVERFLOW = 75
const SUBVOL_RDONLY = 2n
const SEND_FLAG_NO_FILE_DATA = 1n
const QUOTA_CTL_ENABLE = 1n
/** CLEAR_VALUE of fs/btrfs/qgroup.c. */
const NO_LIMIT = 2n ** 64n - 1n
const QGROUP_LIMIT_MAX_RFER = 1n
const QUOTA_TREE = 8n
const QGROUP_STATUS_KEY = 240
const QGROUP_INFO_KEY = 242
const QGROUP_LIMIT_KEY = 244
const IOC_SUBVOL_CREATE = 0x5000940e
const IOC_SNAP_DESTROY = 0x5000940f
const IOC_TREE_SEARCH_V2 = 0xc0709411
const IOC_SNAP_CREATE_V2 = 0x50009417
const IOC_SUBVOL_GETFLAGS = 0x80089419
const IOC_SUBVOL_SETFLAGS = 0x4008941a
const IOC_INO_PATHS = 0xc0389423
const IOC_SEND = 0x40489426
const IOC_QUOTA_CTL = 0xc0109428
const IOC_QGROUP_CREATE = 0x4010942a
const IOC_QGROUP_LIMIT = 0x8030942b
const IOC_GET_SUBVOL_INFO = 0x81f8943c
const IOC_GET_SUBVOL_ROOTREF = 0xd000943d
const IOC_INO_LOOKUP_USER = 0xd000943e

const inodeArgs = Buffer.alloc(56)
const found = Buffer.alloc(4096)
