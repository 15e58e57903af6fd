/** Uses a store at random, through everything that can change one. No operation may fail. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isCode } from '../../../core/errors.js'
import type { Store } from '../../../core/store.js'
import { writeDockerArchive } from '../../../fixtures/docker-archive.js'
import type { Random } from '../../conformance/random.js'
import { randomEdits, randomTree, tryEdit } from '../../conformance/random-edits.js'
import { socket } from '../../conformance/trees.js'
import { randomTar } from './random-tar.js'

export interface Use {
  readonly store: Store
  /** A directory beside the root. */
  readonly place: string
  readonly random: Random
}

/** Adds a description of each operation to `done` as it begins. */
export async function useAtRandom(use: Use, done: string[]): Promise<void> {
  const count = 4 + use.random.below(8)
  for (let turn = 0; turn < count; turn++) {
    const [name, act] = use.random.pick(ACTS)
    done.push(name)
    await act(use, `${turn}-${use.random.below(1_000_000)}`)
  }
}

type Act = (use: Use, fresh: string) => Promise<unknown>

const ACTS: readonly (readonly [name: string, act: Act])[] = [
  ['import a layer', importLayer],
  ['import a layer', importLayer],
  ['import an image', importImage],
  ['write', write],
  ['write', write],
  ['write', write],
  ['commit', commit],
  ['commit', commit],
  ['leave mounted', leaveMounted],
  ['tag', tag],
  ['remove', remove],
  ['prune', async ({ store, random }) => store.prune({ all: random.below(4) === 0 })],
  ['snapshots', useSnapshots],
  ["an engine's layers", useRaw],
]

async function importLayer({ store, place, random }: Use, fresh: string): Promise<void> {
  const file = join(place, `${fresh}.tar`)
  writeFileSync(file, await randomTar(random))
  await lenient(store.importLayer(file, tarred(store, random)))
  rmSync(file)
}

async function importImage({ store, place, random }: Use, fresh: string): Promise<void> {
  const file = join(place, `${fresh}.tar`)
  const tars: Buffer[] = []
  for (let i = random.below(3); i >= 0; i--) tars.push(await randomTar(random))
  await writeDockerArchive(file, `random:${random.below(3)}`, tars)
  await lenient(store.importImage(file))
  rmSync(file)
}

async function write({ store, random }: Use, fresh: string): Promise<void> {
  const found = writables(store)
  const isNew = found.length === 0 || random.below(2) === 0
  const id = isNew
    ? (await store.create({ id: `w-${fresh}`, ...tarred(store, random) })).id
    : random.pick(found)
  const { path } = await store.mount(id)
  try {
    if (random.below(2) === 0) randomTree(path, random.below(8), random)
    randomEdits(path, random.below(10), random)
    if (random.below(3) === 0) tryEdit(path, { do: 'make', path: 'socket', entry: socket() })
    // A directory that is removed and created again is opaque.
    if (random.below(3) === 0 && tryEdit(path, { do: 'remove', path: 'dir' })) mkdirSync(join(path, 'dir'))
  } finally {
    await store.unmount(id)
  }
}

async function commit({ store, random }: Use, fresh: string): Promise<void> {
  const found = writables(store)
  if (found.length === 0) return
  const options = random.below(2) === 0 ? { name: `made-${fresh}` } : {}
  await store.commit(random.pick(found), options)
}

/** A check must cope with a mounted layer. */
async function leaveMounted({ store, random }: Use): Promise<void> {
  const found = writables(store)
  if (found.length > 0) await store.mount(random.pick(found))
}

async function tag({ store, random }: Use, fresh: string): Promise<void> {
  const images = store.images()
  if (images.length > 0) store.tag(random.pick(images).id, `tagged-${fresh}`)
}

async function remove({ store, random }: Use): Promise<void> {
  const names = [...store.images().flatMap((image) => image.names), ...writables(store)]
  if (names.length > 0) await store.remove(random.pick(names), { force: random.below(2) === 0 })
}

async function useSnapshots({ store: { snapshots }, random }: Use, fresh: string): Promise<void> {
  const parents = [...snapshots.walk()].filter(({ kind }) => kind === 'committed').map(({ name }) => name)
  const parent = random.pick(['', ...parents])
  const options = parent === '' ? {} : { parent }
  await snapshots.prepare(`key-${fresh}`, options)
  if (random.below(2) === 0) await snapshots.commit(`name-${fresh}`, `key-${fresh}`)
  if (random.below(2) === 0) await snapshots.view(`view-${fresh}`, options)
}

async function useRaw({ store: { graphDriver: raw }, random }: Use, fresh: string): Promise<void> {
  await raw.create(`base-${fresh}`)
  const tar = await randomTar(random)
  await lenient(
    raw.apply(
      `base-${fresh}`,
      (async function* () {
        yield tar
      })(),
    ),
  )
  if (!raw.exists(`base-${fresh}`)) return
  await raw.create(`top-${fresh}`, { parent: `base-${fresh}` })
  const path = await raw.get(`top-${fresh}`)
  randomEdits(path, random.below(6), random)
  await raw.put(`top-${fresh}`)
  if (random.below(2) === 0) await raw.remove(`top-${fresh}`)
}

/** A random tar may be invalid; then it is refused, and leaves nothing. */
async function lenient(work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!isCode(error, 'INVALID_ARGUMENT') && !isCode(error, 'CORRUPT')) throw error
  }
}

function writables(store: Store): readonly string[] {
  return store
    .layers()
    .filter(({ id, kind, mounts, names }) => kind === 'active' && mounts.length === 0 && names.includes(id))
    .map(({ id }) => id)
}

/** A committed layer with a digest as parent, or no parent. */
function tarred(store: Store, random: Random): { readonly parent?: string } {
  const parent = random.pick(['', ...store.layers().flatMap(({ chainId }) => chainId ?? [])])
  return parent === '' ? {} : { parent }
}
