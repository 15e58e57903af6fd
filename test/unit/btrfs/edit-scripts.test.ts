/**
 * 200 random edit scripts: what the kernel's stream says, what a walk says, and what is there; and every fifth through the
 * whole driver. `VARVE_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Change } from '../../../core/driver.js'
import type { LayerId } from '../../../core/ids.js'
import { compareTrees } from '../../../core/tree/compare.js'
import { differences, type Snapshot, snapshot } from '../../oracle.js'
import type { Bench } from '../drivers/bench.js'
import { createRandom, editTree, makeTree, type Random } from '../drivers/edits.js'
import { type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'
import { streamedChanges } from './stream.js'

const SCRIPTS = 200
const BASES = 10
const SEED = Number(process.env.VARVE_SEED ?? Date.now() % 1_000_000)

describe(`random edits on btrfs, seed ${SEED}`, { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => loop.close())

  for (let base = 0; base < BASES; base++) {
    it(`${SCRIPTS / BASES} scripts on tree ${base}: the stream's changes are those of a walk`, () =>
      withLayers(loop.path, (bench) => onOneBase(bench, SEED * 1000 + base * 50)))
  }
})

async function onOneBase(bench: Bench, seed: number): Promise<void> {
  const random = createRandom(seed)
  const base = await bench.written(undefined, (root) => makeTree(root, 40, random))
  const parent = await bench.written(base, (root) => edit(root, 10, random))
  for (let script = 0; script < SCRIPTS / BASES; script++) {
    let log: readonly string[] = []
    const edits = createRandom(seed + script + 1)
    const child = await bench.create({ parent, writable: true })
    await bench.mounted(child, 'rw', (root) => {
      log = edit(root, 1 + edits.below(15), edits)
    })
    try {
      const active = script % 5 === 0 ? await bench.changes(child) : undefined
      await bench.driver.seal(child)
      const changes = checkChanges(bench, parent, child)
      if (active !== undefined) {
        assert.deepEqual(active, changes, 'the same before it was sealed')
        await checkDiff(bench, parent, child)
      }
    } catch (error) {
      throw new Error(`after these edits (seed ${seed}, script ${script}):\n${log.join('\n')}`, {
        cause: error,
      })
    }
    await bench.driver.remove(child)
  }
  assert.deepEqual(bench.warnings, [], 'no fall-back to a walk')
}

function checkChanges(bench: Bench, parent: LayerId, child: LayerId): readonly Change[] {
  const [old, now] = [subvolumeOf(bench, parent), subvolumeOf(bench, child)]
  const changes = streamedChanges(old, now)
  assert.deepEqual(changes, [...compareTrees(old, now)], 'what a walk says')
  assert.deepEqual(streamedChanges(now, old), [...compareTrees(now, old)], 'and in reverse')
  assertTold(changes, snapshot(old), snapshot(now))
  return changes
}

async function checkDiff(bench: Bench, parent: LayerId, child: LayerId): Promise<void> {
  const tar = await bench.diff(child)
  assert.ok(tar.equals(await bench.diff(child)), 'the same bytes twice')
  const twin = await bench.create({ parent })
  await bench.apply(twin, [tar])
  await bench.driver.seal(twin)
  const [want, have] = [child, twin].map((id) => snapshot(subvolumeOf(bench, id)))
  assert.deepEqual(differences(want ?? new Map(), have ?? new Map()), [], 'applied to an equal tree')
  assert.deepEqual(await bench.changes(twin, child), [], 'which has no changes')
  await bench.driver.remove(twin)
}

/** All that two snapshots tell, but for links: those are told by the walk above, and by the tree that the diff makes. */
function assertTold(changes: readonly Change[], was: Snapshot, is: Snapshot): void {
  const lines = new Set(changes.map(({ path, kind }) => `${kind} ${path}`))
  const missing: string[] = []
  const need = (line: string) => lines.has(line) || missing.push(line)
  for (const [path, line] of is) {
    const before = was.get(path)
    if (before === undefined) need(`add ${path}`)
    else if (withoutLinks(before) !== withoutLinks(line)) need(`modify ${path}`)
  }
  for (const path of was.keys()) {
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (!is.has(path) && is.get(above)?.startsWith('directory ') === true) need(`delete ${path}`)
  }
  assert.deepEqual(missing, [])
}

function withoutLinks(line: string): string {
  return line.replace(/ = (.*?)(?= \S+=0x|$)/, '')
}

/** The edits of every driver, and between them those that btrfs's stream tells in ways of its own. */
function edit(root: string, count: number, random: Random): readonly string[] {
  const log: string[] = []
  for (let i = 0; i < count; i++) {
    if (random.below(3) > 0) log.push(...editTree(root, 1, random))
    else {
      const [name, own] = random.pick(OWN_EDITS)
      try {
        const done = own(root, random)
        if (done.length > 0) log.push(`${name} ${done.map((path) => path.slice(root.length)).join(' ')}`)
      } catch (error) {
        // Not every edit fits every tree: a name is taken, a directory not empty.
        if (!(error instanceof Error) || !/^(EEXIST|ENOTEMPTY|EISDIR|ENOTDIR|EINVAL)/.test(error.message))
          throw error
        log.push(`${name}, partly`)
      }
    }
  }
  return log
}

type Edit = (root: string, random: Random) => readonly string[]

const OWN_EDITS: readonly (readonly [name: string, edit: Edit])[] = [
  [
    'swap',
    (root, random) => {
      const [a, b] = [pick(below(root), random), pick(below(root), random)]
      if (a === undefined || b === undefined || within(a, b) || within(b, a)) return []
      fs.renameSync(a, `${root}/swap~`)
      fs.renameSync(b, a)
      fs.renameSync(`${root}/swap~`, b)
      return [a, b]
    },
  ],
  [
    'parent and child change places',
    (root, random) => {
      const child = pick(directories(root), random)
      const parent = child === undefined ? root : join(child, '..')
      if (child === undefined || parent === root) return []
      fs.renameSync(child, `${root}/turn~`)
      fs.renameSync(parent, `${root}/turn~/down~`)
      fs.renameSync(`${root}/turn~`, parent)
      return [child, parent]
    },
  ],
  [
    'move deep',
    (root, random) => {
      const path = pick(below(root), random)
      if (path === undefined) return []
      const deep = `${root}/deep~${random.below(1000)}/one/two/three`
      fs.mkdirSync(deep, { recursive: true })
      fs.renameSync(path, `${deep}/moved`)
      return [path, deep]
    },
  ],
  [
    'clone',
    (root, random) => {
      const [a, b] = [pick(files(root), random), pick(files(root), random)]
      if (a === undefined || b === undefined) return []
      execFileSync('sh', ['-c', 'cp --reflink=always "$1" "$2" || true', 'sh', a, b], { stdio: 'ignore' })
      return [a, b]
    },
  ],
  [
    'punch a hole',
    (root, random) => {
      const path = pick(files(root), random)
      if (path === undefined) return []
      execFileSync('fallocate', ['-p', '-o', '0', '-l', '4096', path])
      return [path]
    },
  ],
  [
    'the same bytes again, time put back',
    (root, random) => {
      const path = pick(files(root), random)
      if (path === undefined) return []
      execFileSync('touch', ['-r', path, `${root}/time~`])
      fs.writeFileSync(path, fs.readFileSync(path))
      execFileSync('touch', ['-r', `${root}/time~`, path])
      fs.unlinkSync(`${root}/time~`)
      return [path]
    },
  ],
  [
    'chain of renames',
    (root, random) => {
      const found = below(root)
      const done: string[] = []
      let last = `${root}/chain~${random.below(1000)}`
      for (let i = 0; i < 4; i++) {
        const path = pick(found, random)
        if (path === undefined || !fs.existsSync(path) || within(path, last)) continue
        if (fs.lstatSync(last, { throwIfNoEntry: false }) !== undefined) continue
        fs.renameSync(path, last)
        done.push(path)
        last = path
      }
      return done
    },
  ],
]

function pick<T>(from: readonly T[], random: Random): T | undefined {
  return from.length === 0 ? undefined : random.pick(from)
}

function within(path: string, inside: string): boolean {
  return inside === path || inside.startsWith(`${path}/`)
}

function below(root: string): string[] {
  const found: string[] = []
  for (const name of fs.readdirSync(root).sort()) {
    const path = `${root}/${name}`
    found.push(path)
    if (fs.lstatSync(path).isDirectory()) found.push(...below(path))
  }
  return found
}

function directories(root: string): string[] {
  return below(root).filter((path) => fs.lstatSync(path).isDirectory())
}

function files(root: string): string[] {
  return below(root).filter((path) => fs.lstatSync(path).isFile())
}
