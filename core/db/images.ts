/** Tables `image` and `image_layer`: an image's config and its chain of nodes. */
import { type Digest, digestBytes, digestOf } from '../ids.js'
import { now } from './clock.js'
import { prefixRange } from './layers.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

export type ImageKey = number

export interface ImageRow {
  readonly key: ImageKey
  /** Of the config. */
  readonly digest: Digest
  readonly platform: string
  readonly created: string | undefined
  readonly imported: number
}

export type Images = ReturnType<typeof createImages>

interface Stored {
  readonly id: number
  readonly digest: Buffer
  readonly platform: string
  readonly created: string | null
  readonly imported: number
}

export function createImages(sql: Sql) {
  const select = 'SELECT id, digest, platform, created, imported FROM image'
  const insert = sql.run<{
    digest: Buffer
    config: Buffer
    platform: string
    created: string | null
    imported: number
  }>(
    'INSERT INTO image (digest, config, platform, created, imported) VALUES (:digest, :config, :platform, :created, :imported)',
  )
  const insertLayer = sql.run<{ image: number; position: number; node: number }>(
    'INSERT INTO image_layer (image, position, node) VALUES (:image, :position, :node)',
  )
  const byKey = sql.one<{ id: number }, Stored>(`${select} WHERE id = :id`)
  const byDigest = sql.one<{ digest: Buffer }, Stored>(`${select} WHERE digest = :digest`)
  const range = sql.all<{ low: Buffer; high: Buffer }, Stored>(
    `${select} WHERE digest BETWEEN :low AND :high ORDER BY id LIMIT 50`,
  )
  const all = sql.all<Record<never, never>, Stored>(`${select} ORDER BY id`)
  const config = sql.one<{ id: number }, { config: Buffer }>('SELECT config FROM image WHERE id = :id')
  const layers = sql.all<{ image: number }, { node: number }>(
    'SELECT node FROM image_layer WHERE image = :image ORDER BY position',
  )
  const byNode = sql.all<{ node: number }, Stored>(
    `${select} WHERE id IN (SELECT image FROM image_layer WHERE node = :node) ORDER BY id`,
  )
  const nodesInUse = sql.all<Record<never, never>, { node: number }>('SELECT DISTINCT node FROM image_layer')
  const remove = sql.run<{ id: number }>('DELETE FROM image WHERE id = :id')

  return {
    /** The image with its chain of nodes, base first. */
    insert(image: {
      readonly digest: Digest
      readonly config: Buffer
      readonly platform: string
      readonly created: string | undefined
      readonly nodes: readonly NodeId[]
    }): ImageKey {
      return sql.tx(() => {
        const key = insert({
          digest: digestBytes(image.digest),
          config: image.config,
          platform: image.platform,
          created: image.created ?? null,
          imported: now(),
        }).rowid
        for (const [position, node] of image.nodes.entries()) insertLayer({ image: key, position, node })
        return key
      })
    },
    get: (key: ImageKey): ImageRow | undefined => parse(byKey({ id: key })),
    byDigest: (digest: Digest): ImageRow | undefined => parse(byDigest({ digest: digestBytes(digest) })),
    /** Those whose id starts with these hex digits; at most 50. */
    byPrefix: (hex: string): readonly ImageRow[] => range(prefixRange(hex)).map(parseRow),
    all: (): readonly ImageRow[] => all({}).map(parseRow),
    config: (key: ImageKey): Buffer | undefined => config({ id: key })?.config,
    /** Base first. */
    layers: (key: ImageKey): readonly NodeId[] => layers({ image: key }).map((row) => row.node),
    byNode: (node: NodeId): readonly ImageRow[] => byNode({ node }).map(parseRow),
    /** Every node that some image has. */
    nodesInUse: (): ReadonlySet<NodeId> => new Set(nodesInUse({}).map((row) => row.node)),
    delete: (key: ImageKey): void => void remove({ id: key }),
  }
}

function parse(row: Stored | undefined): ImageRow | undefined {
  return row === undefined ? undefined : parseRow(row)
}

function parseRow(row: Stored): ImageRow {
  return {
    key: row.id,
    digest: digestOf(row.digest),
    platform: row.platform,
    created: row.created ?? undefined,
    imported: row.imported,
  }
}
