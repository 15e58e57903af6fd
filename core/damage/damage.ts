/**
 * Is a layer still what it was when it came? A quick check of the metadata of its own files: are they there, with the right
 * type, size, mode, owner, time, attributes and marks? examine.ts reads every byte.
 */
import { toShortText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { LayerRow } from '../db/layers.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { messageOf } from '../errors.js'
import { infoAt } from '../file-index/file-info.js'
import { indexOf } from '../file-index/merged-index.js'
import type { Graph } from '../graph/types.js'
import type { LayerId } from '../ids.js'
import { type Views, withView } from '../mount/views.js'
import { isKeptByDriver, readSplit } from '../tar/split.js'
import { differencesOf } from './differences.js'
import { markProblems } from './whiteouts.js'

export interface DamageContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly views: Views
}

/** Characters of the first problem that are kept in the database. */
const MAX_WORDS = 300

/** What is wrong with the layer's own content, by its metadata, up to the first wrong file; nothing where all seems well. */
export async function quickDamage(context: DamageContext, row: NodeRow): Promise<readonly string[]> {
  const { db } = context
  const known = db.damages.get(row.id)
  if (known !== undefined) return [known.what]
  const missing = await placeProblem(context, row)
  if (missing !== undefined) return [missing]
  const tar = db.layers.get(row.id)
  const record = tar === undefined ? undefined : recordProblem(db, tar)
  if (record !== undefined) return [record]
  const index = indexOf(context, row)
  if (index === undefined) return []
  try {
    return await withView(context.views, row.layer, (root) => {
      const problems = [...markProblems(index, root)]
      for (const own of db.files.list(row.id)) {
        if (own.marksOnly || own.implied || own.type === 'whiteout') continue
        const problem = differencesOf(db, index.resolve(own), infoAt(root, own.path, row.layer))
        if (problem !== undefined) problems.push(`/${toShortText(own.path)}: ${problem}`)
        if (problems.length > 0) break
      }
      return problems
    })
  } catch (error) {
    return [`can't be read: ${messageOf(error)}`]
  }
}

/** Records what was found, so that an import heals it and a check reports it without reading every byte again. */
export function rememberDamage(
  { db }: Pick<DamageContext, 'db'>,
  node: NodeId,
  problems: readonly string[],
): void {
  const what = problems.length === 0 ? undefined : toWords(problems)
  if (db.sql.gate.reason !== undefined) return // open read-only
  if (db.damages.get(node)?.what === what) return
  db.tx(() => {
    if (db.nodes.get(node)?.state !== 'ready') return
    if (what === undefined) db.damages.delete(node)
    else db.damages.set(node, what)
  })
}

function toWords(problems: readonly string[]): string {
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  const [first = ''] = problems
  return `${first.slice(0, MAX_WORDS)}${more}`
}

/** What is wrong where the driver lacks the layer, or does not find it as it was sealed. */
export async function placeProblem(
  { driver, graph }: DamageContext,
  row: NodeRow,
): Promise<string | undefined> {
  if (graph.sourceOf(row) !== row.layer) return undefined
  return problemOfDriver(driver, row.layer)
}

/** What the driver finds wrong with a layer that it lists; undefined for nothing. */
export async function problemOfDriver(driver: Driver, layer: LayerId): Promise<string | undefined> {
  try {
    return (await driver.metadata(layer)).Problem
  } catch (error) {
    return messageOf(error) // the layer may lack what the driver knows it by
  }
}

/**
 * Every byte of the tar must be in the record or in a file: the sizes add up. `look` gets each item of the record. A tar that
 * the driver keeps is checked by its digest alone.
 */
export function recordProblem(
  db: Database,
  { node, tarSize }: LayerRow,
  look: (item: RecordItem) => void = () => {},
): string | undefined {
  let size = 0
  if (isEmpty(db.split.chunks(node))) return 'the record of its tar is not in the database'
  if (isKeptByDriver(db.split.chunks(node))) return undefined
  try {
    for (const item of readSplit(db.split.chunks(node))) {
      look(item)
      size += item.kind === 'raw' ? item.bytes.length : item.size
    }
  } catch (error) {
    return `the record of its tar can't be read: ${messageOf(error)}`
  }
  if (size === tarSize) return undefined
  return `the record of its tar accounts for ${size} bytes, but the tar had ${tarSize}`
}

function isEmpty(chunks: Iterable<unknown>): boolean {
  for (const _ of chunks) return false
  return true
}

type RecordItem = ReturnType<typeof readSplit> extends Iterable<infer Item> ? Item : never
