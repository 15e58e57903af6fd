/** A mount namespace for a moment and for one thread: what is mounted in it is seen by nobody else. */
import { constants } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { VarveError } from '../../errors.js'
import { close, open } from '../files.js'
import { check, libc, O_PATH, text } from '../libc.js'
import { enter } from '../seam.js'
import { callMount } from './call.js'
import { MS_PRIVATE, MS_REC } from './options.js'

/**
 * Runs `make`, which is synchronous and gives a descriptor, in a copy of this thread's mount namespace, which goes with all
 * that was mounted in it when the thread is back. Only in a worker thread, which must end where this throws, since it may be
 * in there still (so it does in core/threads). @throws SysError, VarveError
 */
export function inOwnNamespace(make: () => number): number {
  if (isMainThread)
    throw new VarveError('FAILED_PRECONDITION', 'mount namespace: only a worker may have its own')
  const opened: number[] = []
  const keep = (path: string, flags: number): number => {
    const fd = open(path, flags)
    opened.push(fd)
    return fd
  }
  try {
    const namespace = keep('/proc/thread-self/ns/mnt', constants.O_RDONLY)
    const root = keep('/', O_PATH | constants.O_DIRECTORY)
    const here = keep('.', O_PATH | constants.O_DIRECTORY)
    enter('unshare')
    check(libc.unshare(CLONE_NEWNS), 'unshare')
    // Else what is mounted here would be there too.
    callMount('/', { flags: MS_REC | MS_PRIVATE })
    const made = make()
    try {
      goBack(namespace, root, here)
    } catch (error) {
      close(made)
      throw error
    }
    return made
  } finally {
    for (const fd of opened) close(fd)
  }
}

/** setns(2) leads to the root of the namespace, which need not be this process's. */
function goBack(namespace: number, root: number, here: number): void {
  enter('setns')
  check(libc.setns(namespace, CLONE_NEWNS), 'setns')
  enter('chroot')
  check(libc.fchdir(root), 'fchdir')
  check(libc.chroot(text('.')), 'chroot')
  check(libc.fchdir(here), 'fchdir')
}

const CLONE_NEWNS = 0x20000
