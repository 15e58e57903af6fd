/** Pipes by descriptor, for threads and children. */
import { check, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Both ends with O_CLOEXEC; close each with `close` of files.ts. `nonblocking`: a call that would wait, because the pipe is
 * full (64 KiB) or empty, fails with EAGAIN. @throws SysError
 */
export function pipe({ nonblocking = false } = {}): { readonly read: number; readonly write: number } {
  enter('pipe')
  check(libc.pipe2(bytes, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0)), 'pipe')
  return { read: fds[0] as number, write: fds[1] as number }
}

/**
 * Closes the descriptor on `process.exit`, before that waits for the process's threads: one that the kernel blocks until
 * its pipe is read would otherwise never end. Call the returned function once the descriptor is closed.
 */
export function closeAtExit(fd: number): () => void {
  if (atExit.size === 0) process.once('exit', closeAll)
  atExit.add(fd)
  return () => {
    atExit.delete(fd)
    if (atExit.size === 0) process.off('exit', closeAll)
  }
}

const atExit = new Set<number>()
function closeAll(): void {
  for (const fd of atExit) libc.close(fd)
}

const O_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000
const fds = new Int32Array(2)
const bytes = new Uint8Array(fds.buffer)
