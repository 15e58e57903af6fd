/** Ctrl-C and SIGTERM: the first asks the work to end cleanly, the second ends the process. */
import { constants } from 'node:os'
import { VarveError } from '../core/store.js'

export interface Interrupt {
  readonly signal: AbortSignal
  /** 128 plus the signal's number, as in shells; undefined where no signal came. */
  exitStatus(): number | undefined
  release(): void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export function watchInterrupts(onForced: () => void): Interrupt {
  const controller = new AbortController()
  let status: number | undefined
  const abort = (reason: number) => {
    status ??= reason
    controller.abort(new VarveError('CANCELLED', 'interrupted'))
  }
  const handlers = SIGNALS.map((name) => {
    const code = 128 + constants.signals[name]
    const handler = () => {
      if (status === undefined) return abort(code)
      onForced()
      process.exit(code)
    }
    process.on(name, handler)
    return () => process.off(name, handler)
  })
  return {
    signal: controller.signal,
    exitStatus: () => status,
    release() {
      for (const off of handlers) off()
    },
  }
}
