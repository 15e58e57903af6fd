/** Mounts: a driver's recipes performed, and what is mounted here. Paths are byte strings. */
import { readFileSync } from 'node:fs'
import type { Mount } from '../../driver.js'
import { SysError } from '../error.js'
import { check, EAGAIN, errno, libc, text } from '../libc.js'
import { enter } from '../seam.js'
import { callMount } from './call.js'
import { setReadonly } from './fs-context.js'
import { MS_BIND, MS_RDONLY, MS_REMOUNT } from './options.js'
import { perform } from './perform.js'

export interface MountPoint {
  readonly id: number
  readonly parent: number
  readonly major: number
  readonly minor: number
  /** What of its file system is mounted. */
  readonly root: string
  readonly target: string
  readonly type: string
  readonly source: string
  /** Of the mount. */
  readonly options: readonly string[]
  /** Of the file system. */
  readonly superOptions: readonly string[]
}

/**
 * Performs the mounts in order, each on top of `target` or, where it has a target of its own, there in what is mounted by
 * then; all or none. @throws VarveError with the kernel's words, INVALID_ARGUMENT where a mount's own target leads out,
 * RESOURCE_EXHAUSTED where this kernel can't take so many overlay layers
 */
export function attach(mounts: readonly Mount[], target: string): void {
  perform(mounts, target)
}

/** The same by mount(2) alone, as it is done on kernels without the newer calls. */
export function attachByMount(mounts: readonly Mount[], target: string): void {
  perform(mounts, target, { treeOf: () => undefined })
}

/** @throws SysError: EBUSY where it is used and `lazy` is not said, EINVAL where nothing is mounted there */
export function unmount(target: string, options: { readonly lazy?: boolean } = {}): void {
  enter('umount', target)
  const flags = UMOUNT_NOFOLLOW | (options.lazy === true ? MNT_DETACH : 0)
  check(libc.umount2(text(target), flags), 'umount', target)
}

/**
 * Nobody writes there from now on: through this one mount, or through any of its file system. @throws SysError: EBUSY where
 * a file is open for writing
 */
export function makeReadonly(target: string, scope: 'mount' | 'file system'): void {
  if (scope === 'file system' && setReadonly(target, true)) return
  const flags = MS_REMOUNT | MS_RDONLY | (scope === 'mount' ? MS_BIND : 0)
  callMount(target, { flags })
}

/** Undoes {@link makeReadonly}. @throws SysError */
export function makeWritable(target: string, scope: 'mount' | 'file system'): void {
  if (scope === 'file system' && setReadonly(target, false)) return
  callMount(target, { flags: MS_REMOUNT | (scope === 'mount' ? MS_BIND : 0) })
}

/**
 * Unmounts a file system of which there is no other mount here, and ends all writing to it: copies of the mount in other
 * namespaces, and whatever was mounted by them there, are read-only from then on.
 * @throws SysError: EBUSY where it is used here, or a file of it is open for writing anywhere; EINVAL where nothing is
 * mounted there
 */
export function unmountForGood(target: string): void {
  // A refusal is to change nothing, not even for a moment.
  if (expire(target)) return
  const changed = setReadonly(target, true)
  try {
    unmount(target)
  } catch (error) {
    if (changed) writableAgain(target, error)
    throw error
  }
}

/** After `failure`, which stays the error; if this fails too, its message is added. */
function writableAgain(target: string, failure: unknown): void {
  try {
    setReadonly(target, false)
  } catch (error) {
    if (failure instanceof Error) failure.cause = error
  }
}

/** All mounts that this process (or another) sees, in the kernel's order: of several at one target the last is on top. */
export function mountInfo(of: number | 'self' = 'self'): MountPoint[] {
  enter('mountinfo')
  const lines = readFileSync(`/proc/${of}/mountinfo`, 'latin1').split('\n')
  return lines.filter((line) => line !== '').map(parseMountPoint)
}

/** Changes with every boot: what is cached under another one tells nothing about mounts. */
export function bootId(): string {
  enter('read')
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
}

/**
 * Marks the mount as one that may expire, which is forgotten with the next look at it; true where somebody had done so, and
 * it is unmounted now. @throws SysError EBUSY where it is used in this namespace
 */
function expire(target: string): boolean {
  enter('umount', target)
  if (libc.umount2(text(target), MNT_EXPIRE | UMOUNT_NOFOLLOW) === 0) return true
  if (errno() === EAGAIN) return false
  throw new SysError(errno(), 'umount', target)
}

/** Fields: Documentation/filesystems/proc.rst, section 3.5. */
function parseMountPoint(line: string): MountPoint {
  const fields = line.split(' ')
  const dash = fields.indexOf('-', 6)
  const [id = '', parent = '', device = '', root = '', target = '', options = ''] = fields
  const [type = '', source = '', superOptions = ''] = fields.slice(dash + 1)
  const [major, minor] = device.split(':')
  return {
    id: Number(id),
    parent: Number(parent),
    major: Number(major),
    minor: Number(minor),
    root: unescapeOctal(root),
    target: unescapeOctal(target),
    type: unescapeOctal(type),
    source: unescapeOctal(source),
    options: options.split(','),
    superOptions: superOptions.split(',').map(unescapeOctal),
  }
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

const MNT_DETACH = 2
const MNT_EXPIRE = 4
const UMOUNT_NOFOLLOW = 8
