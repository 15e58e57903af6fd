/** Mounts: a driver's recipes performed, and what is mounted here. Paths are byte strings. */
import { constants, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toText } from '../bytes.js'
import type { Mount } from '../driver.js'
import { type ErrorCode, VarveError } from '../errors.js'
import { SysError } from './error.js'
import { close, open, rmdir } from './files.js'
import { check, EAGAIN, errno, libc, longText, text } from './libc.js'
import { MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, parseWords } from './mount-options.js'
import { attachTree, mountTree, setReadonly } from './mount-tree.js'
import { PAGE, parseLayers, withOnePage } from './overlay-data.js'
import { enter } from './seam.js'

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
 * Performs the mounts in order at `target`; all or none. @throws VarveError with the kernel's words, RESOURCE_EXHAUSTED
 * where this kernel can't take so many overlay layers
 */
export function attach(mounts: readonly Mount[], target: string): void {
  if (mounts.length === 0) throw noMounts()
  let done = 0
  try {
    for (const mount of mounts) {
      attachOne(mount, target)
      done++
    }
  } catch (error) {
    for (; done > 0; done--) unmount(target, { lazy: true })
    throw error
  }
}

/**
 * What {@link attach} would make visible, attached nowhere: reachable at `/proc/self/fd/N/…`, by the `At` calls and by
 * `enterJail(fd)`, gone when `fd` is closed (`close` of files.ts) or the process ends. Of several mounts it is the last,
 * which would hide the others.
 */
export function detached(mounts: readonly Mount[]): { readonly fd: number } {
  const mount = mounts.at(-1)
  if (mount === undefined) throw noMounts()
  try {
    const fd = mountTree(mount)
    if (fd !== undefined) return { fd }
  } catch (error) {
    throw explain(error, mount, undefined)
  }
  return { fd: attachBriefly(mount) }
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
  call('', target, '', flags, '')
}

/** Undoes {@link makeReadonly}. @throws SysError */
export function makeWritable(target: string, scope: 'mount' | 'file system'): void {
  if (scope === 'file system' && setReadonly(target, false)) return
  call('', target, '', MS_REMOUNT | (scope === 'mount' ? MS_BIND : 0), '')
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

/** After `failure`, which stays the error to tell; where this fails too, that is told beside it. */
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

/** By mount(2), as kernels without the newer calls need it. @throws SysError, VarveError RESOURCE_EXHAUSTED */
export function attachByMount(mount: Mount, target: string): void {
  const words = parseWords(mount.options)
  if (mount.type === 'bind' || mount.type === 'rbind') {
    const recursive = mount.type === 'rbind' || mount.options.includes('rbind')
    call(mount.source, target, '', MS_BIND | (recursive ? MS_REC : 0), '')
    if (words.flags === 0) return
    try {
      call('', target, '', MS_REMOUNT | MS_BIND | words.flags, '')
    } catch (error) {
      unmount(target, { lazy: true })
      throw error
    }
  } else if (mount.type === 'overlay') {
    withOnePage(parseLayers(words.data), (data) => call(mount.source, target, 'overlay', words.flags, data))
  } else call(mount.source, target, mount.type, words.flags, words.data.join(','))
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

function attachOne(mount: Mount, target: string): void {
  try {
    const fd = mountTree(mount)
    if (fd === undefined) attachByMount(mount, target)
    else {
      try {
        attachTree(fd, target)
      } finally {
        close(fd)
      }
    }
    const { propagation } = parseWords(mount.options)
    if (propagation !== 0) call('', target, '', propagation, '')
  } catch (error) {
    throw explain(error, mount, target)
  }
}

/**
 * For kernels and types without a detached form: mounted at a temporary directory for as long as it takes to open it,
 * then let go lazily; the descriptor keeps it. A kill right there leaves that directory.
 */
function attachBriefly(mount: Mount): number {
  const directory = mkdtempSync(join(tmpdir(), 'varve-mount-'), { encoding: 'latin1' })
  try {
    attach([mount], directory)
    let fd: number
    try {
      fd = open(directory, O_PATH | constants.O_DIRECTORY)
    } catch (error) {
      unmount(directory, { lazy: true })
      throw error
    }
    try {
      unmount(directory, { lazy: true })
      return fd
    } catch (error) {
      close(fd)
      throw error
    }
  } finally {
    rmdir(directory)
  }
}

function call(source: string, target: string, type: string, flags: number, data: string): void {
  // The kernel would cut it off without a word.
  if (data.length >= PAGE) {
    throw new VarveError(
      'RESOURCE_EXHAUSTED',
      `${type}: mount on ${toText(target)}: ${data.length} bytes of options, and mount(2) takes ${PAGE - 1}`,
    )
  }
  enter('mount', target)
  const sourceText = longText(source)
  check(libc.mount(sourceText, text(target), longText(type), flags, longText(data)), 'mount', target)
}

function explain(error: unknown, mount: Mount, target: string | undefined): unknown {
  if (!(error instanceof SysError)) return error
  const where = target === undefined ? '' : ` on ${toText(target)}`
  const code = CODES[error.code] ?? 'FAILED_PRECONDITION'
  // Much of what overlay has to say goes to the kernel's log alone.
  const advice = error.code === 'EINVAL' && !error.message.endsWith(')') ? ' (see the kernel log, dmesg)' : ''
  return new VarveError(code, `${mount.type}: mount${where}: ${error.message}${advice}`, { cause: error })
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EBUSY: 'UNAVAILABLE',
  ENODEV: 'UNIMPLEMENTED',
  ENOENT: 'NOT_FOUND',
  ENOMEM: 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
}

function noMounts(): VarveError {
  return new VarveError('INVALID_ARGUMENT', 'mount: the list of mounts is empty')
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
const O_PATH = 0o10000000
