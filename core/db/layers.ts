/** Table `layer`: digests and sizes of the tars of committed nodes. */
import { type ChainId, type Digest, digestBytes, digestOf } from '../ids.js'
import { parseJson } from './json.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

export interface LayerRow {
  readonly node: NodeId
  readonly chainId: ChainId
  readonly diffId: Digest
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number
  readonly entries: number
  /** Bytes of regular-file content, each inode once. */
  readonly contentSize: number
  /** Directories that the tar named through a symlink: [as named, as resolved], byte strings. */
  readonly aliases: readonly (readonly [named: string, real: string])[]
}

export type Layers = ReturnType<typeof createLayers>

interface Stored {
  readonly node: number
  readonly chain_id: Buffer
  readonly diff_id: Buffer
  readonly tar_size: number
  readonly entries: number
  readonly content_size: number
  readonly aliases: string
}

export function createLayers(sql: Sql) {
  const select = 'SELECT node, chain_id, diff_id, tar_size, entries, content_size, aliases FROM layer'
  const insert = sql.run<{
    node: number
    chain: Buffer
    diff: Buffer
    tarSize: number
    entries: number
    contentSize: number
    aliases: string
  }>(
    `INSERT INTO layer (node, chain_id, diff_id, tar_size, entries, content_size, aliases)
     VALUES (:node, :chain, :diff, :tarSize, :entries, :contentSize, :aliases)`,
  )
  const byNode = sql.one<{ node: number }, Stored>(`${select} WHERE node = :node`)
  const byChain = sql.one<{ chain: Buffer }, Stored>(`${select} WHERE chain_id = :chain`)
  const chainRange = sql.all<{ low: Buffer; high: Buffer }, Stored>(
    `${select} WHERE chain_id BETWEEN :low AND :high ORDER BY node LIMIT 50`,
  )
  const diffRange = sql.all<{ low: Buffer; high: Buffer }, Stored>(
    `${select} WHERE diff_id BETWEEN :low AND :high ORDER BY node LIMIT 50`,
  )
  const remove = sql.run<{ node: number }>('DELETE FROM layer WHERE node = :node')
  return {
    insert({ chainId, diffId, aliases, ...row }: LayerRow): void {
      const digests = { chain: digestBytes(chainId), diff: digestBytes(diffId) }
      insert({ ...row, ...digests, aliases: JSON.stringify(aliases) })
    },
    get(node: NodeId): LayerRow | undefined {
      const row = byNode({ node })
      return row && parseRow(row)
    },
    byChain(chainId: ChainId): LayerRow | undefined {
      const row = byChain({ chain: digestBytes(chainId) })
      return row && parseRow(row)
    },
    /** Removes a node's digests, so that its chain can be imported again. */
    delete: (node: NodeId): void => void remove({ node }),
    /** Those whose chain id starts with these hex digits; at most 50. */
    byChainPrefix: (hex: string): readonly LayerRow[] => chainRange(prefixRange(hex)).map(parseRow),
    /** Those whose diff id starts with these hex digits; at most 50. */
    byDiffPrefix: (hex: string): readonly LayerRow[] => diffRange(prefixRange(hex)).map(parseRow),
  }
}

/** The lowest and the highest digest that start with `hex` (lower case, up to 64 digits). */
export function prefixRange(hex: string): { readonly low: Buffer; readonly high: Buffer } {
  return { low: Buffer.from(hex.padEnd(64, '0'), 'hex'), high: Buffer.from(hex.padEnd(64, 'f'), 'hex') }
}

function parseRow(row: Stored): LayerRow {
  return {
    node: row.node,
    chainId: digestOf(row.chain_id) as ChainId,
    diffId: digestOf(row.diff_id),
    tarSize: row.tar_size,
    entries: row.entries,
    contentSize: row.content_size,
    aliases: parseJson<[string, string][]>(row.aliases, `the aliases of layer #${row.node}`),
  }
}
