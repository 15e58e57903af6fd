/**
 * A unix socket's place in the file system. The socket is bound in a directory that nobody else may enter, gets mode 0600
 * there and is then renamed. So it accepts connections as soon as it is visible, and only from root (or the same user). A
 * lock file beside it is locked while the service lives, so that a stale socket can be recognised and replaced.
 */
import { randomBytes } from 'node:crypto'
import { createConnection, type Server } from 'node:net'
import { dirname, resolve } from 'node:path'
import { messageOf } from '../../core/face/command.js'
import {
  chmod,
  isSocket,
  type Lock,
  lstatOrUndefined,
  mkdir,
  rename,
  rmdir,
  tryLock,
  unlink,
} from '../../core/face/service.js'
import { errnoOf, fromText, VarveError } from '../../core/store.js'

/** `sun_path` has 108 bytes, including its NUL (unix(7)). */
const MAX_PATH = 107
/** Connections that wait to be accepted; the kernel's own limit is 4096 (net.core.somaxconn). */
const BACKLOG = 4096

export interface SocketPlace {
  /** The socket's final absolute path. */
  readonly path: string
  /** Where to bind it first. */
  readonly binding: string
  /** Sets the bound socket's mode to 0600 and renames it to `path`. */
  publish(): void
  /** Removes the socket and releases the lock; connections stay open. Idempotent. */
  withdraw(): void
}

/**
 * Reserves `path` for this process. Creates missing folders with mode 0700.
 * @throws VarveError INVALID_ARGUMENT (too long), FAILED_PRECONDITION (a service listens there, or it is no socket)
 */
export async function reserveSocket(path: string): Promise<SocketPlace> {
  const target = fromText(resolve(path))
  const folder = dirname(target)
  const name = target.slice(folder === '/' ? 1 : folder.length + 1)
  const refuse = (why: string, cause?: unknown) =>
    new VarveError('FAILED_PRECONDITION', `listen at ${path}: ${why}`, { cause })
  const room = `${folder}/.${randomBytes(3).toString('hex')}`
  const binding = `${room}/s`
  if (Math.max(target.length, binding.length) > MAX_PATH) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `listen at ${path}: a socket's path has ${MAX_PATH} bytes at most`,
    )
  }
  let lock: Lock | undefined
  try {
    makeFolders(folder)
    lock = tryLock(`${folder}/.${name}.lock`)
    if (lock === undefined)
      throw refuse('another varve serve listens there; stop it, or give another --socket')
    const there = lstatOrUndefined(target)
    if (there !== undefined && !isSocket(there.mode))
      throw refuse('there is something other than a socket; move it away')
    if (there !== undefined && (await answers(resolve(path)))) throw refuse('another program listens there')
    mkdir(room, 0o700)
  } catch (error) {
    lock?.release()
    throw error instanceof VarveError ? error : refuse(messageOf(error), error)
  }
  return place({ path: resolve(path), target, room, lock })
}

/** Starts a node:http or node:net server. @throws VarveError UNAVAILABLE */
export function listen(
  server: Server,
  where: { path: string } | { host: string; port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const name = 'path' in where ? where.path : `${where.host}:${where.port}`
      reject(new VarveError('UNAVAILABLE', `listen at ${name}: ${messageOf(error)}`, { cause: error }))
    })
    server.listen({ backlog: BACKLOG, ...where }, () => resolve())
  })
}

function place({
  path,
  target,
  room,
  lock,
}: {
  path: string
  target: string
  room: string
  lock: Lock
}): SocketPlace {
  let published: { readonly ino: number; readonly dev: number } | undefined
  let isHeld = true
  const binding = `${room}/s`
  return {
    path,
    binding: Buffer.from(binding, 'latin1').toString('utf8'),
    publish() {
      chmod(binding, 0o600)
      published = lstatOrUndefined(binding)
      rename(binding, target)
      rmdir(room)
    },
    withdraw() {
      if (!isHeld) return
      isHeld = false
      try {
        if (published === undefined) discard(room)
        const there = lstatOrUndefined(target)
        // Not a socket that something else has put there since.
        if (there !== undefined && there.ino === published?.ino && there.dev === published.dev) unlink(target)
      } finally {
        lock.release()
      }
    },
  }
}

function makeFolders(path: string): void {
  if (lstatOrUndefined(path) !== undefined) return
  makeFolders(dirname(path))
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error // EEXIST: another process created it meanwhile
  }
}

/** Removes a socket that was never published, and its folder. */
function discard(room: string): void {
  if (lstatOrUndefined(`${room}/s`) !== undefined) unlink(`${room}/s`)
  if (lstatOrUndefined(room) !== undefined) rmdir(room)
}

/** Does anybody accept connections there? */
function answers(path: string): Promise<boolean> {
  return new Promise((done, fail) => {
    const connection = createConnection(path)
    connection.once('connect', () => {
      connection.destroy()
      done(true)
    })
    connection.once('error', (error) => {
      const errno = errnoOf(error)
      // ECONNREFUSED: it is stale. ENOENT: it is gone. EAGAIN: its queue is full, so a service is listening.
      if (errno === 'ECONNREFUSED' || errno === 'ENOENT') done(false)
      else if (errno === 'EAGAIN') done(true)
      else fail(error)
    })
  })
}
