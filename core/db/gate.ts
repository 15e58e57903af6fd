/**
 * Whether this store may be changed. One that may not is open for looking only: every call that changes something is refused
 * before it begins (core/face/guarded.ts), and no transaction begins but that of a repair (core/db/open.ts), so that nothing
 * slips by.
 */
import { VarveError } from '../errors.js'

export interface Gate {
  /** Why it is open for looking only; undefined where it may be changed. */
  readonly reason: string | undefined
  /** `reason` ends a sentence: what is wrong, and which command mends it. The first one stays. */
  shut(reason: string): void
  /** What it was shut for is mended. */
  lift(): void
  /** @throws VarveError FAILED_PRECONDITION where it is shut */
  pass(): void
}

/** `what` is guarded, as messages name it. */
export function createGate(what: string): Gate {
  let reason: string | undefined
  return {
    get reason() {
      return reason
    },
    shut(because) {
      reason ??= because
    },
    lift() {
      reason = undefined
    },
    pass() {
      if (reason === undefined) return
      throw new VarveError('FAILED_PRECONDITION', `${what}: is open for looking only: ${reason}`)
    },
  }
}
