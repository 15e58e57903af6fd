/** Leases of files (fcntl(2)), for what no other call tells: whether anybody has a file open for writing. */
import { errnoOf } from '../errors.js'
import { check, EAGAIN, errno, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Is the file open for writing, or mapped so, anywhere and through whatever mount? `fd` is a regular file's, open for
 * reading. The kernel grants a read lease only if it is not; the lease ends with the descriptor. Undefined if this file
 * system has no leases, or the file is another user's.
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

/** The kernel sends this to the holder of a lease when somebody opens the file for writing; by default it ends a process. */
export const LEASE_SIGNAL = 'SIGIO'

const F_SETLEASE = 1024
const F_RDLCK = 0
