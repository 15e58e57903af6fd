/** A line of the journal: a checksum of 16 hex digits, a space, one entry as JSON. A damaged line does not count. */
import { createHash } from 'node:crypto'
import type { Change, Row, Value } from './change.js'
import { jsonOrUndefined } from './json.js'

/** What one transaction changed, or (`isBase`) rows that were there when the journal was begun anew. */
export interface Entry {
  /** The transaction's number: the database counts them. */
  readonly generation: number
  /** How many transactions it covers, up to that one: more than one if earlier ones could not be written in their time. */
  readonly covers: number
  /** Of the store. */
  readonly uuid: string
  readonly isBase: boolean
  readonly changes: readonly Change[]
}

/** An entry to be written: its changes as {@link encodeChange} gives them, since there may be hundreds of thousands. */
export interface NewEntry extends Omit<Entry, 'changes'> {
  readonly changes: readonly string[]
}

/** The part of an {@link Entry} that says how far a journal goes. */
export type Head = Pick<Entry, 'generation' | 'uuid'>

type Stored = readonly [
  generation: number,
  covers: number,
  uuid: string,
  isBase: 0 | 1,
  ...changes: readonly StoredChange[],
]
type StoredChange = readonly [table: string, isGone: 0 | 1, row: Readonly<Record<string, unknown>>]

const SUM = 16

export function encodeEntry({ generation, covers, uuid, isBase, changes }: NewEntry): Buffer {
  const head = JSON.stringify([generation, covers, uuid, isBase ? 1 : 0]).slice(0, -1)
  const start = SUM + 1
  // Written into one buffer, change by change: together they may be large, and so may one (an image's config).
  const length = changes.reduce((sum, change) => sum + 1 + Buffer.byteLength(change), Buffer.byteLength(head))
  const line = Buffer.allocUnsafe(start + length + 2)
  let at = start + line.write(head, start)
  for (const change of changes) {
    at += line.write(',', at)
    at += line.write(change, at)
  }
  at += line.write(']', at)
  line.write(`${sumOf(line.subarray(start, at))} `, 0)
  line.write('\n', at)
  return line
}

export function encodeChange({ table, isGone, row }: Change): string {
  const stored: StoredChange = [table, isGone ? 1 : 0, encodeRow(row)]
  return JSON.stringify(stored)
}

/** Undefined where the line is damaged. */
export function decodeEntry(line: string): Entry | undefined {
  const json = soundJson(line)
  if (json === undefined) return undefined
  const stored = parsed(json)
  if (stored === undefined) return undefined
  const [generation, covers, uuid, isBase, ...changes] = stored
  return {
    generation,
    covers,
    uuid,
    isBase: isBase === 1,
    changes: changes.map(([table, isGone, row]) => ({ table, isGone: isGone === 1, row: decodeRow(row) })),
  }
}

/** The same without its changes, which may be many. */
export function decodeHead(line: string): Head | undefined {
  const json = soundJson(line)
  if (json === undefined) return undefined
  const end = json.indexOf(',[')
  const [generation, , uuid] = parsed(end < 0 ? json : `${json.slice(0, end)}]`) ?? []
  return generation === undefined || uuid === undefined ? undefined : { generation, uuid }
}

function parsed(json: string): Stored | undefined {
  const value = jsonOrUndefined(json)
  return isStored(value) ? value : undefined
}

function isStored(value: unknown): value is Stored {
  if (!Array.isArray(value)) return false
  const [generation, covers, uuid, isBase, ...changes] = value as readonly unknown[]
  const isHead = Number.isSafeInteger(generation) && Number.isSafeInteger(covers) && typeof uuid === 'string'
  return isHead && (isBase === 0 || isBase === 1) && changes.every(isChange)
}

function isChange(value: unknown): value is StoredChange {
  if (!Array.isArray(value) || value.length !== 3) return false
  const [table, isGone, row] = value as readonly unknown[]
  const isRow = typeof row === 'object' && row !== null && Object.values(row).every(isCell)
  return typeof table === 'string' && (isGone === 0 || isGone === 1) && isRow
}

/** A value of SQLite's; bytes are in an array. */
function isCell(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 1 && typeof value[0] === 'string'
  return value === null || typeof value === 'number' || typeof value === 'string'
}

function soundJson(line: string): string | undefined {
  const json = line.slice(SUM + 1)
  return line.charAt(SUM) === ' ' && sumOf(json) === line.slice(0, SUM) ? json : undefined
}

function sumOf(json: string | Buffer): string {
  return createHash('sha256').update(json).digest('hex').slice(0, SUM)
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
