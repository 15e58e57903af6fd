/** Announces that the service is ready: by a line to a descriptor, and to the service manager. */
import { messageOf } from '../../core/face/command.js'
import { close, fstat, notify, writeAll } from '../../core/face/service.js'
import { VarveError } from '../../core/store.js'
import type { Log } from './log.js'

export interface Readiness {
  ready(): void
  stopping(): void
}

/**
 * `word` is the value of `--ready-fd`: the descriptor gets `ready` and a newline, and is closed. @throws INVALID_ARGUMENT
 */
export function createReadiness(word: string | undefined, log: Log): Readiness {
  const fd = word === undefined ? undefined : parseDescriptor(word)
  const tell = (state: string) => {
    try {
      notify(state)
    } catch (error) {
      // Not fatal: serving the engine matters more.
      log.warn('could not notify the service manager', { state, error: messageOf(error) })
    }
  }
  return {
    ready() {
      tell(`READY=1\nMAINPID=${process.pid}`)
      if (fd === undefined) return
      try {
        writeAll(fd, Buffer.from('ready\n'))
        close(fd)
      } catch (error) {
        log.warn(`could not write to descriptor ${fd}`, { error: messageOf(error) })
      }
    },
    stopping: () => tell('STOPPING=1'),
  }
}

function parseDescriptor(word: string): number {
  const refuse = (why: string, cause?: unknown) =>
    new VarveError('INVALID_ARGUMENT', `--ready-fd ${JSON.stringify(word)}: ${why}`, { cause })
  const fd = /^\d{1,9}$/.test(word) ? Number(word) : 0
  if (fd < 3) throw refuse('want the number of an open descriptor, 3 or more')
  try {
    fstat(fd)
  } catch (error) {
    throw refuse(messageOf(error), error)
  }
  return fd
}
