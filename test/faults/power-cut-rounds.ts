/**
 * What power-cut.test.ts runs in a mount namespace of its own: a file system that somebody else has mounted as well (a
 * namespace begun meanwhile) would be remembered by the kernel.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import type { Snapshots } from '../../core/snapshot-model.js'
import { FAULT_POINTS } from '../../core/steps.js'
import { openStore, type Store } from '../../core/store.js'
import { drivers } from '../../drivers/all.js'
import type { FileSystemKind } from '../file-system.js'
import { layerTar } from '../unit/store/layer-tar.js'
import { openPowered } from './power.js'
import { contentFor, treesOf } from './power-cut-content.js'
import { assertNothingLeft } from './recovered.js'

const SCRIPT = fileURLToPath(new URL('./power-cut-calls.js', import.meta.url))

interface Round {
  readonly operation: string
  readonly calls: readonly string[]
  /** What must be so after a power cut at `point`; leaves nothing of the round. */
  look(store: Store, point: string): Promise<void>
}

/** Calls that one after the other many keys go through before the power goes, and what must be so of each key then. */
interface Many {
  readonly title: string
  /** The only driver that can do them. */
  readonly only?: string
  calls(key: string): readonly string[]
  look(store: Store, key: string): Promise<void>
}

/** Enough files that some are waited for while others are still written. */
const BASE = [
  ...Array.from({ length: 700 }, (_, i) => [
    `d${i % 7}/e${i % 70}/f${i} =${'x'.repeat(i * 20)}`,
    `d${i % 7}/l${i} @f${i}`,
  ]).flat(),
  `large =${'large'.repeat(1e6)}`,
  'hard >large',
]
const ABOVE = ['.wh.large', 'd1/.wh..wh..opq', 'd1/e1/f1 =other', 'd2/hard >d2/e2/f2', 'new @large']
const SMALL = ['d/f =content', 'd/l @f', 'e/hard >d/f']

const [, , driver = '', kind = ''] = process.argv
const directory = mkdtempSync(join(tmpdir(), 'varve-power-'))
const tars = [BASE, ABOVE, SMALL].map((lines, i) => {
  const tar = layerTar(lines)
  const file = join(directory, String(i))
  writeFileSync(file, tar)
  return { file, diffId: `sha256:${createHash('sha256').update(tar).digest('hex')}` }
})
const [base, above, small] = tars

const ROUNDS: readonly Round[] = [
  {
    operation: 'prepare',
    calls: ['prepare key base'],
    async look({ snapshots }, point) {
      const isThere = names(snapshots).includes('key active')
      if (point === 'prepare:ready:after') assert.ok(isThere)
      if (!isThere) return
      await assertWhole(snapshots, 'key', ['b'])
      await snapshots.remove('key')
    },
  },
  {
    operation: 'commit',
    calls: ['prepare key base', 'write key', 'commit name key'],
    async look({ snapshots }, point) {
      const isDone = names(snapshots).includes('name committed')
      if (point === 'commit:ready:after') assert.ok(isDone)
      if (isDone) await assertCommitted(snapshots, 'name', ['b', 'key'])
      else await assertWhole(snapshots, 'key', ['b'])
      await snapshots.remove(isDone ? 'name' : 'key')
    },
  },
  {
    operation: 'remove',
    calls: ['prepare key base', 'write key', 'commit name key', 'remove name'],
    async look({ snapshots }, point) {
      const isThere = names(snapshots).includes('name committed')
      assert.equal(isThere, point === 'remove:mark:before')
      if (!isThere) return
      await assertCommitted(snapshots, 'name', ['b', 'key'])
      await snapshots.remove('name')
    },
  },
  {
    operation: 'import',
    calls: [`import ${small?.file}`],
    async look(store) {
      for (const { diffId } of store.layers())
        if (diffId !== undefined && diffId === small?.diffId) await store.remove(diffId)
    },
  },
]

/** So many that the log has got room: as long as it grows, the file system's journal goes to disk with it. */
const KEYS = Array.from({ length: 30 }, (_, i) => `key${i}`)

const MANY: readonly Many[] = [
  {
    title: 'prepared',
    calls: (key) => [`prepare ${key} base`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, ['b']),
  },
  {
    title: 'prepared on nothing',
    calls: (key) => [`prepare ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, []),
  },
  {
    title: 'an empty view',
    calls: (key) => [`view ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, []),
  },
  {
    title: 'a file of it brought to disk',
    calls: (key) => [`prepare ${key} base`, `save ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, ['b', key]),
  },
  {
    title: 'a file of one on nothing brought to disk',
    calls: (key) => [`prepare ${key}`, `save ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, [key]),
  },
  {
    title: 'limited in size',
    only: 'btrfs',
    calls: (key) => [`limited ${key} 16M`],
    async look({ raw }, key) {
      assert.equal((await raw.metadata(key))['Size Limit'], String(16 << 20))
    },
  },
  {
    title: 'committed',
    calls: (key) => [`prepare ${key} base`, `write ${key}`, `commit ${key}-done ${key}`],
    async look({ snapshots }, key) {
      await assertCommitted(snapshots, `${key}-done`, ['b', key])
      await snapshots.remove(`${key}-done`)
    },
  },
]

const fileSystem = openPowered(kind as FileSystemKind)
const root = join(fileSystem.path, 'root')
try {
  cut(['prepare b', 'write b', 'commit base b'])
  const holdsBase = ({ snapshots }: Store) => assertCommitted(snapshots, 'base', ['b'])
  await withStore(holdsBase)
  for (const many of MANY) {
    if ((many.only ?? driver) !== driver) continue
    await inCase(many.title, async () => {
      cut(KEYS.flatMap(many.calls))
      await withStore(async (store) => {
        for (const key of KEYS) await many.look(store, key)
      })
      await withStore(async (store) => {
        for (const { names } of store.layers()) if (!names.includes('base')) await removeAll(store, names)
      })
    })
  }
  await inCase('imported', cutImports)
  for (const { operation, calls, look } of ROUNDS) {
    for (const point of pointsOf(operation)) {
      await inCase(point, async () => {
        cut(calls, point)
        await withStore((store) => look(store, point))
      })
    }
  }
  await withStore(holdsBase)
} finally {
  rmSync(directory, { recursive: true })
  fileSystem.close()
}

/** Does the calls until it is killed; then what is not on disk is forgotten. */
function cut(calls: readonly string[], point?: string): void {
  const env = { ...process.env, ...(point !== undefined && { VARVE_FAULT: `kill:${point}` }) }
  const args = [SCRIPT, root, driver, ...calls]
  const { signal, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', stderr)
  fileSystem.cut()
  forgetBoot()
}

/** A layer that was reported is on disk to the last byte. */
async function cutImports(): Promise<void> {
  cut([`import ${base?.file}`, `import ${above?.file} ${base?.diffId}`])
  await withStore((store) => {
    const diffIds = store.layers().map(({ diffId }) => diffId)
    for (const each of [base, above]) assert.ok(diffIds.some((diffId) => diffId === each?.diffId))
  })
  await withStore(async (store) => {
    for (const each of [above, base]) await store.remove(each?.diffId ?? '')
  })
}

/** Afterwards the rows and what the driver has must tell the same story, and there must be nothing else. */
async function withStore(use: (store: Store) => Promise<void> | void): Promise<void> {
  const store = await openStore({ root, drivers: drivers.filter(({ name }) => name === driver) })
  let layers: ReturnType<Store['layers']>
  try {
    await use(store)
    for await (const problem of store.check({ data: true }))
      assert.fail(`${problem.subject}: ${problem.message}`)
    layers = store.layers()
  } finally {
    await store.close()
  }
  assertNothingLeft(root, layers)
}

/** A boot id is the machine's, which stays up. */
function forgetBoot(): void {
  const db = new Sqlite(join(root, 'varve.db'))
  try {
    db.exec("UPDATE meta SET value = 'another' WHERE key = 'boot'")
  } finally {
    db.close()
  }
}

function names({ walk }: Snapshots): string[] {
  return [...walk()].map(({ name, kind }) => `${name} ${kind}`)
}

async function assertCommitted(
  snapshots: Snapshots,
  name: string,
  written: readonly string[],
): Promise<void> {
  await snapshots.view('look', { parent: name })
  await assertWhole(snapshots, 'look', written)
  await snapshots.remove('look')
}

/** All directories of it are there, and in them what was `written`. */
async function assertWhole(snapshots: Snapshots, name: string, written: readonly string[]): Promise<void> {
  const trees = treesOf(await snapshots.mounts(name))
  for (const tree of trees) assert.ok(existsSync(tree), `${name}: ${tree}`)
  for (const each of written) {
    const file = trees.map((tree) => join(tree, 'directory', each)).find((path) => existsSync(path))
    assert.ok(file !== undefined, `${name}: no file ${each} in ${trees}`)
    assert.ok(readFileSync(file, 'utf8') === contentFor(each), `${name}: ${file}`)
  }
}

async function removeAll(store: Store, all: readonly string[]): Promise<void> {
  for (const name of all) await store.remove(name, { force: true })
}

async function inCase(title: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(`power cut: ${title}`, { cause: error })
  }
}

function pointsOf(operation: string): string[] {
  // Of other commands than these; and where an import is before a step, it was after another a moment ago.
  const elsewhere = /^(commit:record|remove:image|import:image)|^import:.*:before$/
  return FAULT_POINTS.filter((point) => point.startsWith(`${operation}:`) && !elsewhere.test(point))
}
