/** Leases of files (fcntl(2)), for what no other call tells: whether anybody has a file open for writing. */
import { errnoOf } from '../errors.js'
import { check, EAGAIN, errno, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Is the file open for writing, or mapped so, anywhere and through whatever mount? `fd` is a regular file's, open for
 * reading. A lease for reading is to be had only where it is not; it ends with the descriptor. Undefined where this file
 * system has none, or the file is another user's.
 */
export function isOpenForWriting(fd: number): boolean | undefined {
  enter('fcntl')
  if (libc.fcntlNumber(fd, F_SETLEASE, F_RDLCK) === 0) return false
  if (errno() === EAGAIN) return true
  try {
    check(-1, 'fcntl')
  } catch (error) {
    if (['EACCES', 'EINVAL', 'EOPNOTSUPP'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
  return undefined
}

/** Whoever opens a file for writing while it is leased makes the kernel send this to its holder, which it would end. */
export const LEASE_SIGNAL = 'SIGIO'

const F_SETLEASE = 1024
const F_RDLCK = 0
