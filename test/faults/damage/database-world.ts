/** A store with layers of every kind, whose database is damaged, and everything that must be restored. */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { type DriverModule, openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { layerTar } from '../../unit/store/layer-tar.js'

const FILES = ['varve.db', 'varve.db-wal', 'varve.db-shm'] as const

export interface World {
  readonly root: string
  /** A copy of the database from before the last layers were created. */
  readonly old: string
  /** A folder with the database and the log as a killed process leaves them, with the last layers only in the log. */
  readonly killed: string
  /** The tars of its layers. */
  readonly tars: { readonly base: string }
}

/** Everything that must be restored. */
export async function told(store: Store): Promise<unknown> {
  const layers = store.layers()
  const digests = layers.map(async ({ id, diffId }) => {
    if (diffId === undefined) return undefined
    const hash = createHash('sha256')
    for await (const piece of store.exportLayer(id)) hash.update(piece)
    return hash.digest('hex')
  })
  const facts = layers.map(({ id, parent, kind, names, chainId, diffId, labels }) => ({
    id,
    parent,
    kind,
    names,
    chainId,
    diffId,
    labels,
  }))
  const images = store.images().map(({ id, names }) => ({ id, names }))
  return { facts, images, digests: await Promise.all(digests) }
}

export async function inWorld(use: (world: World) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-damage-'))
  const root = join(folder, 'root')
  const tar = (name: string, lines: readonly string[]) => {
    writeFileSync(join(folder, name), layerTar(lines))
    return join(folder, name)
  }
  try {
    const base = await within(root, async (store) => {
      const { id } = await store.importLayer(
        tar('base.tar', ['d/f =content', 'e/hard >d/f', 'twice =1', 'twice =2']),
      )
      await store.create({ id: 'early', parent: id })
      return id
    })
    copyFileSync(join(root, 'varve.db'), join(folder, 'old.db'))
    await within(root, async (store) => {
      const { id } = await store.importLayer(tar('top.tar', ['new =one', 'd/.wh.f']), { parent: base })
      await store.create({ id: 'box', parent: id, labels: { note: 'mine' } })
      await store.create({ id: 'made', parent: id })
      await store.commit('made', { name: 'example:1' })
      await store.snapshots.prepare('key')
      await store.snapshots.commit('name', 'key')
      await store.remove('early')
      for (const name of FILES) copyFileSync(join(root, name), join(folder, name))
    })
    await use({ root, old: join(folder, 'old.db'), killed: folder, tars: { base: join(folder, 'base.tar') } })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export async function within<T>(
  root: string,
  use: (store: Store) => Promise<T>,
  driver: DriverModule = vfs,
): Promise<T> {
  const store = await openStore({ root, drivers: [driver] })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

export function layersOf(root: string): readonly string[] {
  return readdirSync(join(root, 'vfs/dir')).filter((name) => !name.startsWith('.'))
}

export function replace(
  root: string,
  files: Readonly<Partial<Record<(typeof FILES)[number], Buffer>>>,
): void {
  for (const name of FILES) rmSync(join(root, name), { force: true })
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(root, name), bytes)
}

/** Runs SQL as another program would, without foreign keys. Returns the rows of a SELECT. */
export function withDatabase(root: string, sql: string): readonly unknown[] {
  const db = new Sqlite(join(root, 'varve.db'))
  try {
    db.pragma('foreign_keys = OFF')
    if (sql.startsWith('SELECT')) return db.prepare(sql).all()
    db.exec(sql)
    return []
  } finally {
    db.close()
  }
}
