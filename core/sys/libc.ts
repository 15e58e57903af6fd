/**
 * The C library through koffi, for what Node's fs lacks or does less exactly. Importing this loads koffi, which modules
 * that a quick command needs must not do. Only `core/sys` uses it. Once loaded, it works in a chroot as well.
 */
import koffi from 'koffi'
import { SysError } from './error.js'

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_REMOVEDIR = 0x200
export const AT_EMPTY_PATH = 0x1000
export const AT_RECURSIVE = 0x8000
export const EPERM = 1
export const ENOENT = 2
export const ENXIO = 6
export const EAGAIN = 11
export const EACCES = 13
export const EBUSY = 16
export const EEXIST = 17
export const EXDEV = 18
export const ENODEV = 19
export const ENOTDIR = 20
export const EISDIR = 21
export const EINVAL = 22
export const ENAMETOOLONG = 36
export const ENOSYS = 38
export const ENOTEMPTY = 39
export const ELOOP = 40
export const ENODATA = 61
export const ESTALE = 116

/** Of open(2), which Node does not name: only a place in the tree, to be named in other calls. */
export const O_PATH = 0o10000000

/** Longest path the kernel takes, with its NUL (PATH_MAX). */
const PATH_BYTES = 4096

const lib = koffi.load(null)

/** The type of a `const char *`: a buffer made by {@link text}. */
const TEXT = 'const void *'
const BYTES = 'void *'
const int = (name: string, ...args: string[]) => lib.func(name, 'int', args) as (...args: Arg[]) => number
const int64 = (name: string, ...args: string[]) => lib.func(name, 'int64', args) as (...args: Arg[]) => number

type Arg = number | Uint8Array | null

export const libc = {
  chmod: int('chmod', TEXT, 'uint'),
  chroot: int('chroot', TEXT),
  chdir: int('chdir', TEXT),
  close: int('close', 'int'),
  fallocate: int('fallocate', 'int', 'int', 'int64', 'int64'),
  fchdir: int('fchdir', 'int'),
  fchmod: int('fchmod', 'int', 'uint'),
  fchown: int('fchown', 'int', 'uint', 'uint'),
  fcntl: int('fcntl', 'int', 'int', BYTES),
  /** The same for a command that takes a number. */
  fcntlNumber: lib.func('fcntl', 'int', ['int', 'int', 'long']) as (...args: number[]) => number,
  fgetxattr: int64('fgetxattr', 'int', TEXT, BYTES, 'size_t'),
  flistxattr: int64('flistxattr', 'int', BYTES, 'size_t'),
  flock: int('flock', 'int', 'int'),
  fsetxattr: int('fsetxattr', 'int', TEXT, BYTES, 'size_t', 'int'),
  getdents64: int64('getdents64', 'int', BYTES, 'size_t'),
  ioctl: int('ioctl', 'int', 'ulong', 'long'),
  /** The same for a request that takes a struct. */
  ioctlStruct: lib.func('ioctl', 'int', ['int', 'ulong', BYTES]),
  lchown: int('lchown', TEXT, 'uint', 'uint'),
  lgetxattr: int64('lgetxattr', TEXT, TEXT, BYTES, 'size_t'),
  link: int('link', TEXT, TEXT),
  llistxattr: int64('llistxattr', TEXT, BYTES, 'size_t'),
  lremovexattr: int('lremovexattr', TEXT, TEXT),
  lseek: int64('lseek', 'int', 'int64', 'int'),
  lsetxattr: int('lsetxattr', TEXT, TEXT, BYTES, 'size_t', 'int'),
  mkdir: int('mkdir', TEXT, 'uint'),
  mknod: int('mknod', TEXT, 'uint', 'uint64'),
  mount: int('mount', TEXT, TEXT, TEXT, 'ulong', TEXT),
  openat: int('openat', 'int', TEXT, 'int', 'uint'),
  pipe2: int('pipe2', BYTES, 'int'),
  readlinkat: int64('readlinkat', 'int', TEXT, BYTES, 'size_t'),
  renameat2: int('renameat2', 'int', TEXT, 'int', TEXT, 'uint'),
  rmdir: int('rmdir', TEXT),
  sendto: int64('sendto', 'int', BYTES, 'size_t', 'int', BYTES, 'uint'),
  setns: int('setns', 'int', 'int'),
  socket: int('socket', 'int', 'int', 'int'),
  statx: int('statx', 'int', TEXT, 'int', 'uint', BYTES),
  symlink: int('symlink', TEXT, TEXT),
  sync_file_range: int('sync_file_range', 'int', 'int64', 'int64', 'uint'),
  syncfs: int('syncfs', 'int'),
  umask: int('umask', 'uint'),
  umount2: int('umount2', TEXT, 'int'),
  unlink: int('unlink', TEXT),
  unlinkat: int('unlinkat', 'int', TEXT, 'int'),
  unshare: int('unshare', 'int'),
  utimensat: int('utimensat', 'int', TEXT, BYTES, 'int'),
}

/** Calls the C library may not wrap yet; these have one number on every architecture (include/uapi/asm-generic/unistd.h). */
const syscall = (number: number, ...args: string[]) => {
  const call = lib.func('syscall', 'long', ['long', ...args]) as (...args: Arg[]) => number
  return (...rest: Arg[]) => call(number, ...rest)
}

export const kernel = {
  open_tree: syscall(428, 'long', TEXT, 'ulong'),
  move_mount: syscall(429, 'long', TEXT, 'long', TEXT, 'ulong'),
  fsopen: syscall(430, TEXT, 'ulong'),
  fsconfig: syscall(431, 'long', 'ulong', TEXT, TEXT, 'long'),
  fsmount: syscall(432, 'long', 'ulong', 'ulong'),
  fspick: syscall(433, 'long', TEXT, 'ulong'),
  openat2: syscall(437, 'long', TEXT, BYTES, 'size_t'),
  mount_setattr: syscall(442, 'long', TEXT, 'ulong', BYTES, 'size_t'),
}

/** mallopt(3) of glibc; no other C library has it. */
export function mallopt(parameter: number, value: number): void {
  let call: ReturnType<typeof int>
  try {
    call = int('mallopt', 'int', 'int')
  } catch {
    return // koffi finds no such function
  }
  call(parameter, value)
}

/** {@link libc.ioctlStruct} in libuv's pool: resolves to 0 or the error's number. */
export function ioctlInPool(fd: number, request: number, args: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    libc.ioctlStruct.async(fd, request, args, (error: Error | null, result: number) => {
      if (error !== null) reject(error)
      else resolve(result < 0 ? koffi.errno() : 0) // kept by koffi from the thread that made the call
    })
  })
}

/** The address of `bytes`, for a struct that points to them. The caller must hold them as long as the struct is used. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes)
}

/** The error number of the call right before. */
export function errno(): number {
  return koffi.errno()
}

/** Returns the `result` of a call unless it is a failure. @throws SysError */
export function check(result: number, syscall: string, path?: string, dest?: string): number {
  if (result < 0) throw new SysError(koffi.errno(), syscall, path, dest)
  return result
}

const first = Buffer.alloc(PATH_BYTES)
const second = Buffer.alloc(PATH_BYTES)

/** The byte string, NUL-terminated, in a buffer that the next call of this function reuses. @throws SysError */
export function text(value: string): Buffer {
  return terminate(first, value)
}

/** The same in a second buffer, for calls that take two. */
export function text2(value: string): Buffer {
  return terminate(second, value)
}

/** The same in a buffer of its own: any length. */
export function longText(value: string): Buffer {
  return terminate(Buffer.alloc(Math.max(PATH_BYTES, value.length + 1)), value)
}

function terminate(buffer: Buffer, value: string): Buffer {
  const length = value.length
  if (length >= buffer.length) throw new SysError(ENAMETOOLONG, 'path', value.slice(0, 256))
  // A NUL inside would make the kernel see another, shorter name.
  if (value.includes('\0')) throw new SysError(EINVAL, 'path', value)
  buffer.write(value, 0, 'latin1')
  buffer[length] = 0
  return buffer
}
