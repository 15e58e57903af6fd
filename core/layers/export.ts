/** Exports a layer: the identical tar, verified as it leaves. Also the scrub that reads every stored byte. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import type { LongOptions } from '../api/options.js'
import { toText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { LayerRow } from '../db/layers.js'
import type { NodeId } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { checkSignal, isCode, VarveError } from '../errors.js'
import type { Graph } from '../graph/types.js'
import { digestOf, type LayerId } from '../ids.js'
import type { Views } from '../mount/views.js'
import { close, mkdir, open, removeTree, writeAll } from '../sys/files.js'
import { isKeptByDriver } from '../tar/split.js'
import { drain, recycle } from '../threads/channel.js'
import { reassemble } from './reassemble.js'

export interface LayerReaderContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly views: Views
  readonly scratch: string
}

export interface LayerReader {
  /**
   * The layer's tar, byte for byte as it came. The last piece is held back until the digest is known to be right, so a
   * damaged layer never looks complete. Pieces are reused: copy to keep.
   * @throws VarveError CORRUPT, saying what is wrong; FAILED_PRECONDITION where the layer was never a tar
   */
  export(node: NodeId, options?: LongOptions): AsyncGenerator<Uint8Array, void>
  /** Reads every stored byte of the layer. Returns what is wrong with it, in words; nothing where all is well. */
  verify(node: NodeId, options?: LongOptions): Promise<readonly string[]>
}

const MAX_PROBLEMS = 20

export function createLayerReader({ db, driver, graph, views, scratch }: LayerReaderContext): LayerReader {
  const facts = (node: NodeId): LayerRow => {
    const row = db.layers.get(node)
    if (row !== undefined) return row
    const { layer } = graph.get(node)
    throw new VarveError(
      'FAILED_PRECONDITION',
      `layer ${layer}: has no tar; commit it first, or use diff --tar`,
    )
  }

  const isKept = (node: NodeId) => isKeptByDriver(db.split.chunks(node))

  const keptTar = async (layer: LayerId, { signal }: LongOptions): Promise<AsyncIterable<Uint8Array>> => {
    const tar = await driver.tar?.(layer, signal === undefined ? {} : { signal })
    if (tar !== undefined) return tar
    throw new VarveError('CORRUPT', `layer ${layer}: the driver ${driver.name} no longer keeps its tar`)
  }

  /** Payloads that only the database has, as files; the directory goes when the generator ends. */
  const saveReplaced = (node: NodeId, directory: string): ReadonlyMap<string, string> => {
    const saved = new Map<string, string>()
    for (const { sha256 } of db.payloads.list(node)) {
      if (saved.size === 0) mkdir(directory, 0o700)
      const file = `${directory}/${sha256}`
      const fd = open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
      try {
        for (const chunk of db.payloads.chunks(node, sha256)) writeAll(fd, chunk)
      } finally {
        close(fd)
      }
      saved.set(sha256, file)
    }
    return saved
  }

  /**
   * The tar that the driver keeps, or the one that the split record and the layer's files make. `damaged` gets each wrong file;
   * a kept tar tells of none.
   */
  async function* storedTarOf(
    node: NodeId,
    row: LayerRow,
    options: LongOptions & { readonly damaged?: (path: string, reason: string) => void },
  ): AsyncGenerator<Uint8Array, void> {
    const { layer } = graph.get(node)
    if (isKept(node)) {
      for await (const piece of await keptTar(layer, options)) {
        checkSignal(options)
        yield piece
      }
      return
    }
    const directory = `${scratch}/replaced-${layer}-${performance.now()}`
    const view = await views.open(layer)
    try {
      const { tar, done } = reassemble({
        view: view.fd,
        split: db.split.chunks(node),
        replaced: saveReplaced(node, directory),
        aliases: row.aliases,
        signal: options.signal,
        ...(options.damaged && { damaged: options.damaged }),
      })
      done.catch(() => {}) // awaited below; until then a failure must not count as unhandled
      try {
        yield* drain(tar)
      } catch (error) {
        await done.catch((reason: unknown) => {
          // A check names the layer and the remedy itself.
          const isBare = options.damaged === undefined && isCode(reason, 'CORRUPT')
          throw isBare ? withRemedy(reason, layer) : reason
        })
        throw error
      } finally {
        // Also where the reader stops early: the thread reads through the view until it ends.
        await done.catch(() => {})
        recycle(tar)
      }
      await done
    } finally {
      try {
        removeTree(directory)
      } finally {
        await view.close()
      }
    }
  }

  return {
    async *export(node, options = {}) {
      const row = facts(node)
      const hash = createHash('sha256')
      let held: Buffer | undefined
      let done = 0
      for await (const piece of storedTarOf(node, row, options)) {
        hash.update(piece)
        done += piece.length
        if (done > row.tarSize) break // a whole tar would have gone out, and more
        if (held) yield held
        held = Buffer.from(piece)
        options.progress?.({ step: `export ${row.diffId}`, done, total: row.tarSize, unit: 'bytes' })
      }
      const actual = digestOf(hash.digest())
      if (actual !== row.diffId) {
        const { layer } = graph.get(node)
        const what = done > row.tarSize ? `has more than ${row.tarSize} bytes` : `has the digest ${actual}`
        throw new VarveError(
          'CORRUPT',
          `layer ${layer}: the stored content ${what}, but it was imported as ${row.diffId}; 'varve check --data' names the files; to repair it, use 'varve repair --from SOURCE', or remove the images that contain it ('varve rm') and import them again`,
        )
      }
      if (held) yield held
    },
    async verify(node, options = {}) {
      const row = facts(node)
      const problems: string[] = []
      let count = 0
      const damaged = (path: string, reason: string) => {
        count++
        if (problems.length < MAX_PROBLEMS) problems.push(`/${toText(path)}: ${reason}`)
      }
      const hash = createHash('sha256')
      let done = 0
      for await (const piece of storedTarOf(node, row, { ...options, damaged })) {
        hash.update(piece)
        done += piece.length
        options.progress?.({ step: `check ${row.diffId}`, done, total: row.tarSize, unit: 'bytes' })
      }
      if (count > MAX_PROBLEMS) problems.push(`and ${count - MAX_PROBLEMS} more files`)
      if (count === 0 && digestOf(hash.digest()) !== row.diffId) {
        const what = isKept(node) ? 'its tar, which its files are read from,' : 'the record of its tar'
        problems.push(`${what} is damaged: the digest is not ${row.diffId}`)
      }
      return problems
    },
  }
}

/** The error says what is wrong with the record, but not whose it is. */
function withRemedy(error: VarveError, layer: LayerId): VarveError {
  const message = `layer ${layer}: ${error.message}; to repair it, use 'varve repair --from SOURCE'`
  return new VarveError('CORRUPT', message, { cause: error })
}
