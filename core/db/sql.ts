/** What the tables of this folder run their statements on; open.ts makes it. */
import type { Gate } from './gate.js'

export type SqlValue = number | string | Buffer | null
export type SqlParams = Readonly<Record<string, SqlValue>>

/** Prepared statements by kind; each is prepared at its first use and kept. Parameters are named (`:node`). */
export interface Sql {
  readonly file: string
  /** While it is shut nothing begins that changes rows. */
  readonly gate: Gate
  /** A statement that changes rows; gives how many, and the rowid of the last one inserted. */
  run<P extends SqlParams>(text: string): (params: P) => { readonly changes: number; readonly rowid: number }
  /** A query for one row. */
  one<P extends SqlParams, R>(text: string): (params: P) => R | undefined
  /** A query for all rows of a small result; large ones are read in pages (never with an open cursor, which would block writes). */
  all<P extends SqlParams, R>(text: string): (params: P) => readonly R[]
  /**
   * One `BEGIN IMMEDIATE` transaction around `work`, which must not await; inside another one it joins it. On disk when
   * this returns. @throws VarveError for every error of SQLite's; where the disk does not take the log (log.ts) it has
   * happened, and a power cut may undo it
   */
  tx<T>(work: () => T): T
  /**
   * The same without waiting for the disk: for what counts only once a later `tx` says so (a layer that is not ready). The
   * log keeps their order, so that one brings this one to disk with it.
   */
  draft<T>(work: () => T): T
  /** Text, several statements, no parameters (migrations, pragmas). */
  exec(text: string): void
  pragma(text: string): unknown
  close(): void
}
