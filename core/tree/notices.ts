/**
 * Messages for a person, a bounded number: a layer may cause a million of them. What a layer could not take is also passed
 * on to be recorded, all of it, in batches: a check must not call it damage later.
 */
import type { LeftOut } from '../driver.js'

export interface Notices {
  add(text: string): void
  /** `what` of `path` is not in the layer (LeftOut of core/driver.ts), as `text` says. */
  leaveOut(found: LeftOut, text: string): void
  /** Passes on what is left of the last batch. */
  flush(): void
  /** The first 100, and how many more there were. */
  list(): string[]
}

const LIMIT = 100
const BATCH = 500

/** @param keep gets what was left out */
export function createNotices(keep: (found: readonly LeftOut[]) => void = () => {}): Notices {
  const texts: string[] = []
  let more = 0
  let batch: LeftOut[] = []
  const add = (text: string) => {
    if (texts.length < LIMIT) texts.push(text)
    else more++
  }
  const flush = () => {
    if (batch.length > 0) keep(batch)
    batch = []
  }
  return {
    add,
    leaveOut(found, text) {
      add(text)
      batch.push(found)
      if (batch.length === BATCH) flush()
    },
    flush,
    list: () => (more === 0 ? texts : [...texts, `… and ${more} more`]),
  }
}
