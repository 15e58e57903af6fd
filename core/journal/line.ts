/** A line of the journal: a checksum of 16 hex digits, a space, one entry as JSON. What is damaged is no line. */
import { createHash } from 'node:crypto'
import type { Change, Row, Value } from '../db/changes.js'

/** What one transaction changed, or (`isBase`) rows that were there when the journal was begun anew. */
export interface Entry {
  /** The transaction's number: the database counts them. */
  readonly generation: number
  /** How many it tells of, up to that one: more than one where those before could not be told when they came. */
  readonly covers: number
  /** Of the store. */
  readonly uuid: string
  readonly isBase: boolean
  readonly changes: readonly Change[]
}

type Stored = readonly [
  generation: number,
  covers: number,
  uuid: string,
  isBase: 0 | 1,
  ...changes: readonly StoredChange[],
]
type StoredChange = readonly [table: string, isGone: 0 | 1, row: Readonly<Record<string, unknown>>]

const SUM = 16

export function encodeEntry({ generation, covers, uuid, isBase, changes }: Entry): string {
  const stored: Stored = [
    generation,
    covers,
    uuid,
    isBase ? 1 : 0,
    ...changes.map(({ table, isGone, row }): StoredChange => [table, isGone ? 1 : 0, encodeRow(row)]),
  ]
  const json = JSON.stringify(stored)
  return `${sumOf(json)} ${json}\n`
}

/** Undefined where the line is damaged. */
export function decodeEntry(line: string): Entry | undefined {
  const json = line.slice(SUM + 1)
  if (line.charAt(SUM) !== ' ' || sumOf(json) !== line.slice(0, SUM)) return undefined
  const [generation, covers, uuid, isBase, ...changes] = JSON.parse(json) as Stored
  return {
    generation,
    covers,
    uuid,
    isBase: isBase === 1,
    changes: changes.map(([table, isGone, row]) => ({ table, isGone: isGone === 1, row: decodeRow(row) })),
  }
}

function sumOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, SUM)
}

function encodeRow(row: Row): Readonly<Record<string, unknown>> {
  const entries = Object.entries(row)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Buffer.isBuffer(value) ? [value.toString('base64')] : value]),
  )
}

function decodeRow(row: Readonly<Record<string, unknown>>): Row {
  const entries = Object.entries(row)
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      Array.isArray(value) ? Buffer.from(String(value[0]), 'base64') : (value as Value),
    ]),
  )
}
