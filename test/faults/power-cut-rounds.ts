/**
 * The process that power-cut.test.ts runs in its own mount namespace. If another namespace had the file system mounted too,
 * the kernel would keep its state across the power cut.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { FAULT_POINTS } from '../../core/graph/fault-points.js'
import { openStore, type Store } from '../../core/store.js'
import { drivers } from '../../drivers/all.js'
import type { FileSystemKind } from '../support/file-system.js'
import { layerTar } from '../unit/store/layer-tar.js'
import { ABOVE, assertCommitted, BASE, MANY, ROUNDS, SMALL } from './power-cut-cases.js'
import { THROUGH } from './power-cut-content.js'
import { openPowered } from './power-cut-disk.js'
import { assertNothingLeft } from './recovered.js'

const SCRIPT = fileURLToPath(new URL('./power-cut-calls.js', import.meta.url))

const [, , driver = '', kind = ''] = process.argv
/** The calls' working directory. */
const directory = mkdtempSync(join(tmpdir(), 'varve-power-'))

/** Enough that the database's log stops growing: while it grows, each sync flushes the file system's journal too. */
const KEYS = Array.from({ length: 30 }, (_, i) => `key${i}`)

const fileSystem = openPowered(kind as FileSystemKind)
const root = join(fileSystem.path, 'root')
try {
  writeTar('small.tar', SMALL)
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
        for (const { id, names } of store.layers())
          if (!names.includes('base')) await store.remove(id, { force: true })
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

/** Runs the calls until the process is killed, and cuts the power. */
function cut(calls: readonly string[], point?: string): void {
  const env = { ...process.env, ...(point !== undefined && { VARVE_FAULT: `kill:${point}` }) }
  const args = [SCRIPT, root, driver, ...calls]
  const { signal, stdout, stderr } = spawnSync(process.execPath, args, {
    env,
    cwd: directory,
    encoding: 'utf8',
  })
  assert.equal(signal, 'SIGKILL', stderr)
  assert.equal(stdout === THROUGH, point === undefined, `${point} was not reached`)
  fileSystem.cut()
  forgetBoot()
}

/** An import that was reported is on disk to the last byte. */
async function cutImports(): Promise<void> {
  const [below, above] = [writeTar('below.tar', BASE), writeTar('above.tar', ABOVE)]
  cut(['import below.tar', `import above.tar ${below}`])
  // Both are checked before the first one is removed.
  await withStore((store) => void [below, above].map(store.layer))
  await withStore(async (store) => {
    for (const each of [above, below]) await store.remove(each)
  })
}

/** Returns its diff id. */
function writeTar(name: string, lines: readonly string[]): string {
  const tar = layerTar(lines)
  writeFileSync(join(directory, name), tar)
  return `sha256:${createHash('sha256').update(tar).digest('hex')}`
}

/** Afterwards the rows and the driver's layers must agree, and nothing else may be left. */
async function withStore(use: (store: Store) => Promise<void> | void): Promise<void> {
  const store = await openStore({ root, drivers: drivers.filter(({ name }) => name === driver) })
  let layers: ReturnType<Store['layers']>
  try {
    await use(store)
    for await (const { check, subject, message } of store.check({ data: true })) {
      // A layer that the cut lost and that nobody had written to is created again, which must be reported.
      if (check !== 'layer-remade') assert.fail(`${subject}: ${message}`)
    }
    layers = store.layers()
  } finally {
    await store.close()
  }
  assertNothingLeft(root, layers)
}

/** Changes the boot id in the database, since the machine itself does not reboot. */
function forgetBoot(): void {
  const db = new Sqlite(join(root, 'varve.db'))
  try {
    db.exec("UPDATE meta SET value = 'another' WHERE key = 'boot'")
  } finally {
    db.close()
  }
}

async function inCase(title: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw new Error(`power cut: ${title}`, { cause: error })
  }
}

function pointsOf(operation: string): string[] {
  // Excludes points of other commands, and those before a step of an import, which equal the one after the previous step.
  const elsewhere = /^(commit:record|remove:image|import:image)|^import:.*:before$/
  const points = FAULT_POINTS.filter((point) => point.startsWith(`${operation}:`) && !elsewhere.test(point))
  assert.ok(points.length > 0, `no point is one of ${operation}`)
  return points
}
