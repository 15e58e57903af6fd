/**
 * Standard output and error. When the promise of a write resolves, the kernel has the bytes; only then may the process end.
 *
 * Node's streams report when a pipe, a socket or a terminal has taken the bytes, however slow it is and whatever its
 * O_NONBLOCK. For anything else they lose the rest of a short write (on a nearly full disk), so `write(2)` is used.
 */
import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { isatty } from 'node:tty'
import { errnoOf } from '../errors.js'
import { fromNode } from './error.js'
import { enter } from './seam.js'

export interface StandardStream {
  readonly isTerminal: boolean
  /**
   * Writes in the order of the calls. The bytes may be reused once it resolves. @throws SysError; after a failure always
   * that first one
   */
  write(bytes: Uint8Array | string): Promise<void>
  /** Resolves when everything written so far was taken, or can't be. */
  drained(): Promise<void>
  /** Nobody reads it any more: a write failed with EPIPE, or a socket's peer is gone. */
  isAbandoned(): boolean
}

export const standardOutput = once(() => open(1))
export const standardError = once(() => open(2))

type Put = (bytes: Uint8Array | string) => Promise<void>

function open(fd: 1 | 2): StandardStream {
  const stream = fd === 1 ? process.stdout : process.stderr
  // Node has no stream for a socket of datagrams or packets, and throws away what is written to it.
  const put = stream instanceof Socket ? byStream(stream) : byDescriptor(fd)
  let failure: unknown
  let last = Promise.resolve()
  return {
    isTerminal: isatty(fd),
    write(bytes) {
      const written = put(bytes).catch((error: unknown) => {
        failure ??= error
        throw failure
      })
      last = written.catch(() => {}) // the writer gets the error
      return written
    },
    drained: () => last,
    isAbandoned: () => ['EPIPE', 'ECONNRESET'].includes(errnoOf(failure) ?? ''),
  }
}

function byStream(stream: Socket): Put {
  // The callback gets the error as well; without a listener the event would end the process.
  stream.on('error', () => {})
  return (bytes) =>
    new Promise((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(fromNode(error, 'write')) : resolve()))
    })
}

function byDescriptor(fd: number): Put {
  return async (bytes) => {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    try {
      for (let done = 0; done < buffer.length; ) {
        enter('write')
        done += writeSync(fd, buffer, done)
      }
    } catch (error) {
      throw fromNode(error, 'write')
    }
  }
}

function once<T>(make: () => T): () => T {
  let made: T | undefined
  return () => {
    made ??= make()
    return made
  }
}
