/** A change of one row of the small tables, as the database reports it and the journal keeps it. */
export type Value = number | string | Buffer | null

export type Row = Readonly<Record<string, Value>>

export interface Change {
  readonly table: string
  /** A whole row, as it is now; or the key of one that is gone. */
  readonly row: Row
  readonly isGone: boolean
}
