/**
 * Confinement by the kernel: a worker thread whose root is a directory. Every *synchronous* file call of that thread
 * stays below it, whatever links it meets. The rest of the process is not affected.
 *
 * Not to be used in a jail: asynchronous fs calls, which run in libuv's pool and so *outside* the jail; `import()`; /proc;
 * new threads, which would inherit the jail.
 */
import { constants, promises } from 'node:fs'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { VarveError } from '../errors.js'
import { SysError } from './error.js'
import { close, open } from './files.js'
import { check, errno, libc, O_PATH, text } from './libc.js'
import { enter } from './seam.js'

export interface Jail {
  /**
   * Returns to the thread's own root, working directory and umask; the thread may then enter another jail. If that fails,
   * the thread must end (core/threads/worker.ts ends it for any error). Idempotent.
   */
  leave(): void
}

/**
 * To be awaited in the main thread before a worker that uses {@link enterJail} is started: libuv starts its pool at the
 * first asynchronous call, and pool threads started by a jailed thread would live in its jail.
 */
export async function prepareJails(): Promise<void> {
  await promises.stat('/')
  setEnvironmentData(READY, true)
}

/**
 * Makes `dir` (a path, or a directory's descriptor, which may be of a detached mount) the root of this thread, with
 * umask 0. Only in a worker thread, as root, after {@link prepareJails}; one at a time. @throws SysError, VarveError
 */
export function enterJail(dir: string | number): Jail {
  if (isMainThread) throw refused('the main thread cannot be jailed, only a worker')
  if (getEnvironmentData(READY) !== true)
    throw refused('prepareJails() was not awaited before this worker began')
  if (jailed) throw refused('this thread is in a jail already')
  enter('unshare')
  check(libc.unshare(CLONE_FS), 'unshare')
  const root = open('/', O_PATH | constants.O_DIRECTORY)
  let here = -1
  try {
    here = open('.', O_PATH | constants.O_DIRECTORY)
    enterDirectory(dir, here)
  } catch (error) {
    if (here >= 0) close(here)
    close(root)
    throw error
  }
  jailed = true
  const umask = libc.umask(0)
  let left = false
  return {
    leave() {
      if (left) return
      enter('chroot')
      left = true
      check(libc.fchdir(root), 'fchdir')
      check(libc.chroot(text('.')), 'chroot')
      check(libc.fchdir(here), 'fchdir')
      libc.umask(umask)
      jailed = false
      close(here)
      close(root)
    },
  }
}

/** Makes `dir` the working directory, then the root: a working directory outside would be a way out. */
function enterDirectory(dir: string | number, here: number): void {
  enter('chroot', typeof dir === 'string' ? dir : undefined)
  if (typeof dir === 'string') check(libc.chdir(text(dir)), 'chdir', dir)
  else check(libc.fchdir(dir), 'fchdir')
  if (libc.chroot(text('.')) === 0) return
  const error = errno()
  libc.fchdir(here)
  throw new SysError(error, 'chroot', typeof dir === 'string' ? dir : undefined)
}

function refused(message: string): VarveError {
  return new VarveError('FAILED_PRECONDITION', `jail: ${message}`)
}

let jailed = false
const READY = 'varve.core.sys.jail'
const CLONE_FS = 0x200
