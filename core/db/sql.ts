/** What the tables of this folder run their statements on; open.ts makes it. */
import type { Gate } from './gate.js'

export type SqlValue = number | string | Buffer | null
export type SqlParams = Readonly<Record<string, SqlValue>>

/** Prepared statements by kind; each is prepared at its first use and kept. Parameters are named (`:node`). */
export interface Sql {
  readonly file: string
  /** While it is shut no transaction begins. */
  readonly gate: Gate
  /** A statement that changes rows; returns how many, and the rowid of the last one inserted. */
  run<P extends SqlParams>(text: string): (params: P) => { readonly changes: number; readonly rowid: number }
  /** A query for one row. */
  one<P extends SqlParams, R>(text: string): (params: P) => R | undefined
  /** A query for all rows of a small result. Large ones are read in pages: an open cursor would block writes. */
  all<P extends SqlParams, R>(text: string): (params: P) => readonly R[]
  /**
   * One `BEGIN IMMEDIATE` transaction around `work`, which must not await; a nested one joins the outer one. On disk when
   * this returns. @throws VarveError for every error of SQLite; if only syncing the log failed (log.ts), the transaction has
   * happened, and a power cut may undo it
   */
  tx<T>(work: () => T): T
  /**
   * The same without waiting for the disk: for what counts only once a later `tx` says so (a layer that is not ready). The
   * log keeps the order, so the later one brings this one to disk with it.
   */
  draft<T>(work: () => T): T
  /** Text, several statements, no parameters (migrations, pragmas). */
  exec(text: string): void
  pragma(text: string): unknown
  close(): void
}
