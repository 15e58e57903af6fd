/**
 * What power-cut.test.ts runs in a mount namespace of its own: a file system that somebody else has mounted as well (a
 * namespace begun meanwhile) would be remembered by the kernel.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import type { Snapshots } from '../../core/snapshot-model.js'
import { FAULT_POINTS } from '../../core/steps.js'
import { openStore, type Store } from '../../core/store.js'
import { overlay } from '../../drivers/overlay/driver.js'
import { type FileSystemKind, openFileSystem } from '../file-system.js'
import { powerCut } from '../libc.js'
import { layerTar } from '../unit/store/layer-tar.js'

const SCRIPT = fileURLToPath(new URL('./power-cut-calls.js', import.meta.url))

interface Round {
  readonly operation: string
  readonly calls: readonly string[]
  /** What must be so after a power cut at `point`; leaves nothing of the round. */
  look(snapshots: Snapshots, point: string): Promise<void>
}

const ROUNDS: readonly Round[] = [
  {
    operation: 'prepare',
    calls: ['prepare key base'],
    async look(snapshots, point) {
      const isThere = names(snapshots).includes('key active')
      if (point === 'prepare:ready:after') assert.ok(isThere)
      if (!isThere) return
      await assertWritable(snapshots, 'key')
      await snapshots.remove('key')
    },
  },
  {
    operation: 'commit',
    calls: ['prepare key base', 'write key', 'commit name key'],
    async look(snapshots, point) {
      const isDone = names(snapshots).includes('name committed')
      if (point === 'commit:ready:after') assert.ok(isDone)
      if (isDone) assert.equal(await contentOf(snapshots, 'name'), 'key')
      await snapshots.remove(isDone ? 'name' : 'key')
    },
  },
  {
    operation: 'remove',
    calls: ['prepare key base', 'write key', 'commit name key', 'remove name'],
    async look(snapshots, point) {
      const isThere = names(snapshots).includes('name committed')
      assert.equal(isThere, point === 'remove:mark:before')
      if (isThere) await snapshots.remove('name')
    },
  },
]

/** So many that the log has got room: as long as it grows, the file system's journal goes to disk with it. */
const KEYS = Array.from({ length: 30 }, (_, i) => `key${i}`)

const prepared = {
  calls: (key: string) => [`prepare ${key} base`],
  async look(snapshots: Snapshots, key: string): Promise<void> {
    await assertWritable(snapshots, key)
    await snapshots.remove(key)
  },
}
const committed = {
  calls: (key: string) => [`prepare ${key} base`, `write ${key}`, `commit ${key}-done ${key}`],
  async look(snapshots: Snapshots, key: string): Promise<void> {
    assert.equal(await contentOf(snapshots, `${key}-done`), key)
    await snapshots.remove(`${key}-done`)
  },
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

const [, , kind = ''] = process.argv
const fileSystem = openFileSystem(kind as FileSystemKind, { size: '512M' })
try {
  const root = join(fileSystem.path, 'root')
  cut(root, ['prepare b', 'write b', 'commit base b'])
  const holdsBase = async ({ snapshots }: Store) => assert.equal(await contentOf(snapshots, 'base'), 'b')
  await withStore(root, holdsBase)
  for (const many of [prepared, committed]) {
    cut(root, KEYS.flatMap(many.calls))
    await withStore(root, async ({ snapshots }) => {
      for (const key of KEYS) await many.look(snapshots, key)
    })
  }
  await cutImports(root)
  for (const { operation, calls, look } of ROUNDS) {
    for (const point of pointsOf(operation)) {
      try {
        cut(root, calls, point)
        await withStore(root, ({ snapshots }) => look(snapshots, point))
      } catch (error) {
        throw new Error(`power cut at ${point}`, { cause: error })
      }
    }
  }
  await withStore(root, holdsBase)
} finally {
  fileSystem.close()
}

/** Does the calls until it is killed; then what is not on disk is forgotten. */
function cut(root: string, calls: readonly string[], point?: string): void {
  const env = { ...process.env, ...(point !== undefined && { VARVE_FAULT: `kill:${point}` }) }
  const { signal, stderr } = spawnSync(process.execPath, [SCRIPT, root, ...calls], { env, encoding: 'utf8' })
  assert.equal(signal, 'SIGKILL', stderr)
  powerCut(Buffer.from(fileSystem.path))
  fileSystem.remount()
  forgetBoot(root)
}

/** A layer that was reported is on disk to the last byte. */
async function cutImports(root: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'varve-power-'))
  try {
    const diffIds = [BASE, ABOVE].map((lines, i) => {
      const tar = layerTar(lines)
      writeFileSync(join(directory, String(i)), tar)
      return `sha256:${createHash('sha256').update(tar).digest('hex')}`
    })
    cut(root, [`import ${join(directory, '0')}`, `import ${join(directory, '1')} ${diffIds[0]}`])
    await withStore(root, async (store) => {
      for await (const { subject, message } of store.check({ data: true }))
        assert.fail(`${subject}: ${message}`)
      for (const diffId of diffIds.toReversed()) await store.remove(diffId)
    })
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** Afterwards the rows and what the driver has must tell the same story. */
async function withStore(root: string, use: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore({ root, drivers: [overlay] })
  try {
    await use(store)
    for await (const problem of store.check()) assert.fail(`${problem.subject}: ${problem.message}`)
  } finally {
    await store.close()
  }
}

/** A boot id is the machine's, which stays up. */
function forgetBoot(root: string): void {
  const db = new Sqlite(join(root, 'varve.db'))
  db.exec("UPDATE meta SET value = 'another' WHERE key = 'boot'")
  db.close()
}

function names({ walk }: Snapshots): string[] {
  return [...walk()].map(({ name, kind }) => `${name} ${kind}`)
}

/** What `write` of the script wrote. */
async function contentOf(snapshots: Snapshots, name: string): Promise<string> {
  const [mount] = await snapshots.view('look', { parent: name })
  await snapshots.remove('look')
  return readFileSync(join(option(mount?.options, 'lowerdir').split(':')[0] ?? '', 'directory/file'), 'utf8')
}

async function assertWritable(snapshots: Snapshots, key: string): Promise<void> {
  const [mount] = await snapshots.mounts(key)
  for (const each of ['upperdir', 'workdir']) assert.ok(statSync(option(mount?.options, each)).isDirectory())
}

function option(options: readonly string[] = [], name: string): string {
  return options.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1) ?? ''
}

function pointsOf(operation: string): string[] {
  const elsewhere = ['commit:record', 'remove:image'] // of other commands than these
  return FAULT_POINTS.filter(
    (point) => point.startsWith(`${operation}:`) && !elsewhere.some((step) => point.startsWith(step)),
  )
}
