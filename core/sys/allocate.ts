/** Allocates blocks of a file before they are written. */
import { check, libc } from './libc.js'
import { enter } from './seam.js'

/** Gives the first `size` bytes of a new file their blocks; they read as zeros. @throws SysError EOPNOTSUPP, ENOSPC … */
export function allocate(fd: number, size: number): void {
  enter('fallocate')
  check(libc.fallocate(fd, 0, 0, size), 'fallocate')
}
