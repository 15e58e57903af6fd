/** What the running kernel has. */
import { constants } from 'node:fs'
import { errnoOf } from '../core/errors.js'
import { run, which } from '../core/sys/exec.js'
import { close, open, read } from '../core/sys/files.js'

/** The text of a small file of /proc or /sys; undefined where it isn't there. */
export function readSmall(path: string): string | undefined {
  try {
    const fd = open(path, constants.O_RDONLY)
    try {
      const buffer = Buffer.alloc(64 * 1024)
      let length = 0
      for (let got = -1; got !== 0 && length < buffer.length; length += got) {
        got = read(fd, buffer, length, buffer.length - length, null)
      }
      return buffer.toString('latin1', 0, length)
    } finally {
      close(fd)
    }
  } catch (error) {
    // ENODEV: its device went while it was open.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return undefined
    throw error
  }
}

/** True where the kernel knows the file system, after modprobe if need be; else why not. */
export async function hasFileSystem(name: string): Promise<true | string> {
  if (isListed(name)) return true
  const modprobe = which('modprobe')
  if (modprobe === undefined)
    return `${name} is not in /proc/filesystems, and there is no modprobe to load it`
  try {
    await run(modprobe, [name])
  } catch (error) {
    const said = error instanceof Error ? error.message.trim() : String(error)
    return `${name} is not in /proc/filesystems; ${said}`
  }
  return isListed(name) || `${name} is not in /proc/filesystems, also after modprobe ${name}`
}

function isListed(name: string): boolean {
  return (readSmall('/proc/filesystems') ?? '').split('\n').some((line) => line.split('\t')[1] === name)
}

/** True in a user namespace other than the machine's own, where root is root of few things (user_namespaces(7)). */
export function inUserNamespace(): boolean {
  const map = readSmall('/proc/self/uid_map')
  return map !== undefined && !/^\s*0\s+0\s+4294967295\s*$/.test(map)
}
