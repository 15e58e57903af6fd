/**
 * Mounts that are attached nowhere yet, made by the calls of Linux 5.2 and later: one descriptor each, and with its last
 * reference the mount is gone.
 */
import { constants } from 'node:fs'
import type { Mount } from '../driver.js'
import { closeRaw } from './directory.js'
import { SysError } from './error.js'
import { close, open, read } from './files.js'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  check,
  EINVAL,
  ENOSYS,
  errno,
  kernel,
  text,
  text2,
} from './libc.js'
import { type MountWords, MS_PRIVATE, parseWords } from './mount-options.js'
import { parseLayers } from './overlay-data.js'
import { type Call, enter } from './seam.js'

/**
 * A descriptor of the mount; undefined where this kernel or this type takes mount(2) instead. A bind is private.
 * @throws SysError; its message ends with the kernel's own words where it logged any
 */
export function mountTree(mount: Mount): number | undefined {
  if (mount.type === 'bind' || mount.type === 'rbind') return bindTree(mount)
  if (mount.type === 'overlay' && takesLowersSingly()) return overlayTree(mount)
  return undefined
}

/** Attaches it at `target`, as mount(2) would: a symlink is followed. */
export function attachTree(fd: number, target: string): void {
  enter('move_mount', target)
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS
  check(kernel.move_mount(fd, EMPTY, AT_FDCWD, text(target), flags), 'move_mount', target)
}

/**
 * Makes the file system mounted at `target` read-only or writable for whoever sees it, wherever it is mounted, in other
 * mount namespaces too. False where this kernel can't (before 5.2).
 * @throws SysError: EBUSY where it is to be read-only and a file of it is open for writing
 */
export function setReadonly(target: string, readonly: boolean): boolean {
  enter('fspick', target)
  const fd = kernel.fspick(AT_FDCWD, text(target), FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW)
  if (fd < 0 && errno() === ENOSYS) return false
  check(fd, 'fspick', target)
  try {
    configure(fd, readonly ? 'ro' : 'rw', undefined)
    config(fd, FSCONFIG_CMD_RECONFIGURE, undefined, undefined, 0)
    return true
  } finally {
    closeRaw(fd)
  }
}

/**
 * Does overlay take `lowerdir+`? That began in 6.7; before 6.5 its data went unread into a page of text, which shows by
 * its taking any word.
 */
export function takesLowersSingly(): boolean {
  if (singly !== undefined) return singly
  enter('fsopen')
  const fd = kernel.fsopen(text('overlay'), FSOPEN_CLOEXEC)
  // ENOSYS: an old kernel; EPERM: not root; ENODEV: no overlay, which may be loaded later.
  if (fd < 0) return false
  try {
    singly = !accepts(fd, 'varve-unknown', 'x') && accepts(fd, 'lowerdir+', '/')
  } finally {
    closeRaw(fd)
  }
  return singly
}

function bindTree(mount: Mount): number | undefined {
  const recursive = mount.type === 'rbind' || mount.options.includes('rbind')
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0)
  enter('open_tree', mount.source)
  const fd = kernel.open_tree(AT_FDCWD, text(mount.source), flags)
  if (fd < 0 && errno() === ENOSYS) return undefined
  check(fd, 'open_tree', mount.source)
  if (setAttributes(fd, parseWords(mount.options), recursive)) return fd
  closeRaw(fd)
  return undefined
}

/** False where the kernel has no mount_setattr (before 5.12). */
function setAttributes(fd: number, words: MountWords, recursive: boolean): boolean {
  const attributes = [words.attributes, words.cleared, words.propagation & ~0x4000 || MS_PRIVATE, 0]
  const bytes = new Uint8Array(new BigUint64Array(attributes.map(BigInt)).buffer)
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0)
  enter('mount_setattr')
  if (kernel.mount_setattr(fd, EMPTY, flags, bytes, bytes.length) === 0) return true
  const error = errno()
  if (error === ENOSYS) return false
  closeRaw(fd)
  throw new SysError(error, 'mount_setattr')
}

function overlayTree(mount: Mount): number {
  const words = parseWords(mount.options)
  const layers = parseLayers(words.data)
  enter('fsopen')
  const fd = check(kernel.fsopen(text('overlay'), FSOPEN_CLOEXEC), 'fsopen')
  try {
    configure(fd, 'source', mount.source)
    for (const lower of layers.lowers) configureLayer(fd, 'lowerdir+', lower)
    for (const lower of layers.dataLowers) configureLayer(fd, 'datadir+', lower)
    if (layers.upper !== undefined) configureLayer(fd, 'upperdir', layers.upper)
    if (layers.work !== undefined) configureLayer(fd, 'workdir', layers.work)
    for (const word of [...layers.rest, ...words.superFlags]) {
      const equals = word.indexOf('=')
      if (equals < 0) configure(fd, word, undefined)
      else configure(fd, word.slice(0, equals), word.slice(equals + 1))
    }
    config(fd, FSCONFIG_CMD_CREATE, undefined, undefined, 0)
    enter('fsmount')
    return tell(fd, kernel.fsmount(fd, FSMOUNT_CLOEXEC, words.attributes), 'fsmount')
  } finally {
    closeRaw(fd)
  }
}

/** A key with a value, or a flag. */
function configure(fd: number, key: string, value: string | undefined): void {
  config(fd, value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, value, 0)
}

/**
 * A directory by its path or, where that is too long for a string of fsconfig(2) or has a backslash (which some of
 * these keys take as an escape and others not), by a descriptor.
 */
function configureLayer(fs: number, key: string, path: string): void {
  if (path.length < FSCONFIG_STRING && !path.includes('\\')) {
    configure(fs, key, path)
    return
  }
  const directory = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    // Since 6.13; the path through /proc works before that, but it is what mountinfo then shows.
    if (kernel.fsconfig(fs, FSCONFIG_SET_FD, text(key), null, directory) === 0) return
    if (errno() !== EINVAL) throw new SysError(errno(), 'fsconfig', path)
    configure(fs, key, `/proc/self/fd/${directory}`)
  } finally {
    close(directory)
  }
}

function config(
  fd: number,
  command: number,
  key: string | undefined,
  value: string | undefined,
  aux: number,
): void {
  enter('fsconfig')
  const keyText = key === undefined ? null : text(key)
  const valueText = value === undefined ? null : text2(value)
  tell(fd, kernel.fsconfig(fd, command, keyText, valueText, aux), 'fsconfig', value ?? key)
}

function accepts(fd: number, key: string, value: string): boolean {
  enter('fsconfig')
  return kernel.fsconfig(fd, FSCONFIG_SET_STRING, text(key), text2(value), 0) === 0
}

function tell(fd: number, result: number, call: Call, path?: string): number {
  if (result >= 0) return result
  const error = new SysError(errno(), call, path)
  const words = kernelWords(fd)
  if (words !== '') error.message += ` (${words})`
  throw error
}

/** The messages of a file-system context: one a read, with a letter for its level before it. */
function kernelWords(fd: number): string {
  const buffer = Buffer.alloc(1024)
  const messages: string[] = []
  for (;;) {
    try {
      const length = read(fd, buffer, 0, buffer.length, null)
      if (length === 0) break
      messages.push(
        buffer
          .toString('latin1', 0, length)
          .trim()
          .replace(/^[ewi] /, ''),
      )
    } catch {
      // ENODATA: no more. Any other is no reason to hide the error this is about.
      break
    }
  }
  return messages.join('; ')
}

let singly: boolean | undefined
const EMPTY = Buffer.alloc(1)
const FSOPEN_CLOEXEC = 1
const FSMOUNT_CLOEXEC = 1
const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0o2000000
const MOVE_MOUNT_F_EMPTY_PATH = 4
const MOVE_MOUNT_T_SYMLINKS = 0x10
const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_SET_FD = 5
const FSCONFIG_CMD_CREATE = 6
const FSCONFIG_CMD_RECONFIGURE = 7
const FSPICK_CLOEXEC = 1
const FSPICK_SYMLINK_NOFOLLOW = 2
/** Bytes of a string it takes, with the NUL. */
const FSCONFIG_STRING = 256
