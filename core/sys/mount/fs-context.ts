/**
 * File-system contexts (fsopen(2), Linux 5.2): a file system is configured word by word, and its mount is attached
 * nowhere yet.
 */
import { constants } from 'node:fs'
import { closeRaw } from '../directory.js'
import { SysError } from '../error.js'
import { close, open, read } from '../files.js'
import { AT_FDCWD, check, EINVAL, ENOSYS, errno, kernel, text, text2 } from '../libc.js'
import { type Call, enter } from '../seam.js'

/** Bytes of a string that fsconfig(2) takes, with the NUL. */
export const FSCONFIG_STRING = 256

/**
 * Mounts a file system of that type: `fill` configures it. A descriptor of the mount; undefined where the kernel has no
 * contexts. @throws SysError; its message ends with the kernel's own words where it logged any
 */
export function mountContext(
  type: string,
  attributes: number,
  fill: (context: number) => void,
): number | undefined {
  enter('fsopen', type)
  const context = kernel.fsopen(text(type), FSOPEN_CLOEXEC)
  if (context < 0 && errno() === ENOSYS) return undefined
  check(context, 'fsopen', type)
  try {
    fill(context)
    config(context, FSCONFIG_CMD_CREATE, undefined, undefined, 0)
    enter('fsmount')
    return tell(context, kernel.fsmount(context, FSMOUNT_CLOEXEC, attributes), 'fsmount')
  } finally {
    closeRaw(context)
  }
}

/** A key with a value, or a flag. */
export function configure(context: number, key: string, value: string | undefined): void {
  config(context, value === undefined ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, value, 0)
}

/** `KEY=VALUE`, or a flag. */
export function configureWord(context: number, word: string): void {
  const equals = word.indexOf('=')
  if (equals < 0) configure(context, word, undefined)
  else configure(context, word.slice(0, equals), word.slice(equals + 1))
}

/**
 * A directory by its path or, where that is too long for a string of fsconfig(2) or has a backslash (which some keys of
 * overlay take as an escape and others not), by a descriptor.
 */
export function configureDirectory(context: number, key: string, path: string): void {
  if (path.length < FSCONFIG_STRING && !path.includes('\\')) {
    configure(context, key, path)
    return
  }
  const directory = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    enter('fsconfig', path)
    // Since 6.13; the path through /proc works before that, but it is what mountinfo then shows.
    if (kernel.fsconfig(context, FSCONFIG_SET_FD, text(key), null, directory) === 0) return
    if (errno() !== EINVAL) throw new SysError(errno(), 'fsconfig', path)
    configure(context, key, `/proc/self/fd/${directory}`)
  } finally {
    close(directory)
  }
}

/** Does that type take these keys? Undefined where none of it can be asked for: an old kernel, no root, no such type. */
export function takesKeys<K extends string>(
  type: string,
  keys: Readonly<Record<K, string>>,
): Readonly<Record<K, boolean>> | undefined {
  enter('fsopen', type)
  const context = kernel.fsopen(text(type), FSOPEN_CLOEXEC)
  if (context < 0) return undefined
  try {
    const taken = Object.entries<string>(keys).map(([key, value]) => [key, accepts(context, key, value)])
    return Object.fromEntries(taken) as Record<K, boolean>
  } finally {
    closeRaw(context)
  }
}

/**
 * Makes the file system mounted at `target` read-only or writable for whoever sees it, wherever it is mounted, in other
 * mount namespaces too. False where this kernel can't (before 5.2).
 * @throws SysError: EBUSY where it is to be read-only and a file of it is open for writing
 */
export function setReadonly(target: string, readonly: boolean): boolean {
  enter('fspick', target)
  const context = kernel.fspick(AT_FDCWD, text(target), FSPICK_CLOEXEC | FSPICK_SYMLINK_NOFOLLOW)
  if (context < 0 && errno() === ENOSYS) return false
  check(context, 'fspick', target)
  try {
    configure(context, readonly ? 'ro' : 'rw', undefined)
    config(context, FSCONFIG_CMD_RECONFIGURE, undefined, undefined, 0)
    return true
  } finally {
    closeRaw(context)
  }
}

function config(
  context: number,
  command: number,
  key: string | undefined,
  value: string | undefined,
  aux: number,
): void {
  enter('fsconfig')
  const keyText = key === undefined ? null : text(key)
  const valueText = value === undefined ? null : text2(value)
  tell(context, kernel.fsconfig(context, command, keyText, valueText, aux), 'fsconfig', value ?? key)
}

function accepts(context: number, key: string, value: string): boolean {
  enter('fsconfig')
  return kernel.fsconfig(context, FSCONFIG_SET_STRING, text(key), text2(value), 0) === 0
}

function tell(context: number, result: number, call: Call, path?: string): number {
  if (result >= 0) return result
  const error = new SysError(errno(), call, path)
  const words = kernelWords(context)
  if (words !== '') error.message += ` (${words})`
  throw error
}

/** The messages of a context: one a read, with a letter for its level before it. */
function kernelWords(context: number): string {
  const buffer = Buffer.alloc(1024)
  const messages: string[] = []
  for (;;) {
    try {
      const length = read(context, buffer, 0, buffer.length, null)
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

const FSOPEN_CLOEXEC = 1
const FSMOUNT_CLOEXEC = 1
const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_SET_FD = 5
const FSCONFIG_CMD_CREATE = 6
const FSCONFIG_CMD_RECONFIGURE = 7
const FSPICK_CLOEXEC = 1
const FSPICK_SYMLINK_NOFOLLOW = 2
