/**
 * Many processes run random operations on one store, and some are killed: all reported results hold, and the store is whole.
 */
import assert from 'node:assert/strict'
import { execFileSync, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { collect } from '../../support/collect.js'
import { endOf } from '../../support/namespace.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { SEED } from '../../support/seed.js'
import { layerTar } from '../../unit/store/layer-tar.js'
import { countCases, sized } from '../size.js'
import { readJournal, type Told } from './journal.js'
import { type Model, replay } from './model.js'
import { randomOf } from './random.js'

const PROCESSES = sized(4, 16)
const OPERATIONS = sized(12, 50)
const WORKER = fileURLToPath(new URL('worker-main.js', import.meta.url))

for (const driver of ['overlay', 'vfs']) {
  test(`${driver}: ${PROCESSES} processes, ${OPERATIONS} operations each`, {
    skip: NEEDS_ROOT,
  }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-many-'))
    const root = join(folder, 'root')
    mkdirSync(root, { mode: 0o700 })
    for (const n of [0, 1, 2]) writeFileSync(join(folder, `tar-${n}.tar`), layerTar(['d/', `d/file =${n}`]))
    try {
      const journals = await runAll(folder, driver)
      const told = journals.map(readJournal)
      assert.deepEqual(
        told.flat().filter(({ end }) => end !== undefined && 'wrong' in end),
        [],
      )
      countCases(t, told.flat().length)
      const store = await openStore({ root, drivers, driver })
      try {
        await verify(store, told)
      } finally {
        await store.close()
      }
    } finally {
      for (const target of mountsBelow(folder)) execFileSync('umount', ['-l', target])
      rmSync(folder, { recursive: true })
    }
  })
}

/** Every fourth process is killed right before a changing call, and another one replaces it. Resolves to the journals. */
async function runAll(folder: string, driver: string): Promise<readonly string[]> {
  const { below } = randomOf(SEED)
  const journals: string[] = []
  const start = async (number: number, fault?: string): Promise<void> => {
    const journal = join(folder, `journal-${number}`)
    writeFileSync(journal, '')
    journals.push(journal)
    const args = [join(folder, 'root'), driver, journal, `p${number}`, `${SEED + number}`, `${OPERATIONS}`]
    const { VARVE_FAULT: _, ...env } = process.env
    const ended = await endOf(
      fork(WORKER, args, { env: { ...env, ...(fault !== undefined && { VARVE_FAULT: fault }) } }),
    )
    // A process with fewer calls than that runs to its end.
    if (ended === 'SIGKILL' && fault !== undefined) await start(number + PROCESSES)
    else assert.equal(ended, 'status 0', `process ${number}, seed ${SEED}`)
  }
  await Promise.all(
    Array.from({ length: PROCESSES }, (_, n) =>
      start(n, n % 4 === 1 ? `kill:call:${5 + below(sized(100, 400))}` : undefined),
    ),
  )
  return journals
}

async function verify(store: Store, told: readonly (readonly Told[])[]): Promise<void> {
  const models = told.map(replay)
  // A mount of a killed process stays, and is still counted.
  for (const { id, mounts } of store.layers()) for (const place of mounts) await store.unmount(id, place)
  const kinds = new Map(
    store.layers().flatMap(({ kind, names }) => names.map((name) => [name, kind] as const)),
  )
  const doubtful = new Set(models.map((model) => model.doubtful))
  for (const model of models) await verifyModel(store, model, kinds)
  const known = new Set(models.flatMap((model) => [...model.layers.keys()]))
  const strangers = [...kinds.keys()].filter(
    (name) => /^p\d/.test(name) && !known.has(name) && !doubtful.has(name),
  )
  assert.deepEqual(strangers, [], 'removed layers are gone')
  verifyShared(told.flat())
  assert.deepEqual(await collect(store.check({ data: true })), [])
}

async function verifyModel(store: Store, model: Model, kinds: ReadonlyMap<string, string>): Promise<void> {
  for (const [id, { kind, files }] of model.layers) {
    if (id === model.doubtful) continue
    assert.equal(kinds.get(id), kind, id)
    for (const file of files) {
      assert.equal(
        Buffer.concat(await collect(store.read(id, `/${file}`))).toString(),
        file,
        `${file} of ${id}`,
      )
    }
  }
}

/** Only one process creates a shared layer, and all imports of one tar give the same layer. */
function verifyShared(told: readonly Told[]): void {
  const results = (kind: string, id: string) =>
    told.flatMap(({ operation, end }) =>
      operation.kind === kind && operation.id === id && end !== undefined && 'done' in end ? [end.done] : [],
    )
  for (const n of [0, 1, 2, 3]) {
    const id = `shared-${n}`
    const made = results('share', id)
    const isAsked = told.some(({ operation }) => operation.id === id)
    const isSure = told.every(({ operation, end }) => operation.id !== id || end !== undefined)
    assert.ok(
      made.length <= 1 && (made.length === 1 || !isAsked || !isSure),
      `${id} was made ${made.length} times`,
    )
    assert.ok(new Set(results('import', `tar-${n}`)).size <= 1, `tar-${n} is one layer`)
  }
}

function mountsBelow(folder: string): readonly string[] {
  const targets = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
  return targets.filter((target) => target.startsWith(`${folder}/`)).reverse()
}
