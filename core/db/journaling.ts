/**
 * Decides what the journal gets: every transaction that is brought to disk, together with the changes of earlier drafts in
 * this process. Each is counted in `meta.generation`, in the transaction itself.
 */
import type Sqlite from 'better-sqlite3'
import type { Journal } from '../journal/journal.js'
import { encodeChange } from '../journal/line.js'
import { watchChanges } from './changes.js'

export interface Journaling {
  /** To be called last in a transaction that will be brought to disk. */
  count(): void
  committed(): void
  rolledBack(): void
  /** The last transaction counted is on disk: appends it to the journal. */
  write(): void
}

export const NO_JOURNALING: Journaling = { count() {}, committed() {}, rolledBack() {}, write() {} }

export function createJournaling(database: Sqlite.Database, journal: Journal): Journaling {
  const watched = watchChanges(database, encodeChange)
  const count = database.prepare<[], { value: string }>(
    `INSERT INTO meta (key, value) VALUES ('generation', '1')
     ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING value`,
  )
  const uuid = database.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'uuid'")
  /** Changes of transactions that are committed and not yet in the journal. */
  let unwritten: string[] = []
  let current: readonly string[] = []
  let counted: { readonly generation: number; readonly uuid: string } | undefined
  /** The first generation that is committed and not in the journal: after a failed sync of the log there may be several. */
  let since: number | undefined
  return {
    count() {
      current = [...current, ...watched.take()]
      if (current.length + unwritten.length === 0) return
      counted = { generation: Number(count.get()?.value), uuid: uuid.get()?.value ?? '' }
    },
    committed() {
      since ??= counted?.generation
      for (const change of current) unwritten.push(change)
      for (const change of watched.take()) unwritten.push(change)
      current = []
    },
    rolledBack() {
      watched.take()
      current = []
      counted = undefined
    },
    write() {
      if (counted === undefined) return
      const covers = counted.generation - (since ?? counted.generation) + 1
      journal.append({ ...counted, covers, changes: unwritten })
      unwritten = []
      counted = undefined
      since = undefined
    },
  }
}
