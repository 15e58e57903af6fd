/**
 * Whether this store may be changed. If not, it is open read-only: every call that changes something is refused
 * before it begins (core/face/guarded.ts), and so is every transaction (core/db/open.ts), until a repair lifts the gate.
 */
import { VarveError } from '../errors.js'

export interface Gate {
  /** Why it is open read-only; undefined if it may be changed. */
  readonly reason: string | undefined
  /** `reason` completes a sentence: what is wrong, and which command mends it. The first reason stays. */
  shut(reason: string): void
  /** The reason is mended. */
  lift(): void
  /** @throws VarveError FAILED_PRECONDITION where it is shut */
  pass(): void
}

/** `what` is the guarded thing's name in messages. */
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
      throw new VarveError('FAILED_PRECONDITION', `${what}: is read-only: ${reason}`)
    },
  }
}
