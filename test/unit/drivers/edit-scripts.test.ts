/** 200 random edit scripts on each driver. `VARVE_SEED` repeats a run. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Change, DriverModule } from '../../../core/driver.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { differences, type Snapshot, snapshot } from '../../oracle.js'
import { type Bench, withBench } from './bench.js'
import { createRandom, editTree, makeTree } from './edits.js'

const SCRIPTS = 200
const BASES = 10
const SEED = Number(process.env.VARVE_SEED ?? Date.now() % 1_000_000)

const cells: readonly (readonly [
  module: DriverModule,
  options: Readonly<Record<string, string>>,
  share: number,
])[] = [
  [overlay, {}, SCRIPTS / 2],
  [overlay, { redirect_dir: 'on', metacopy: 'on' }, SCRIPTS / 2],
  [vfs, {}, SCRIPTS],
]

describe(`random edits, seed ${SEED}`, { concurrency: true }, () => {
  for (const [module, options, scripts] of cells) {
    const words = Object.entries(options).map(([key, value]) => ` ${key}=${value}`)
    it(`${scripts} scripts on ${module.name}${words.join('')}: diff is exact, repeatable, and makes an equal tree`, () =>
      withBench(module, options, async (bench) => {
        for (let base = 0; base < BASES; base++) {
          await onOneBase(bench, SEED * 1000 + base * 50, scripts / BASES)
        }
      }))
  }
})

async function onOneBase(bench: Bench, seed: number, scripts: number): Promise<void> {
  const random = createRandom(seed)
  const base = await bench.written(undefined, (root) => makeTree(root, 30, random))
  const parent = await bench.written(base, (root) => editTree(root, 10, random))
  const before = await bench.mounted(parent, 'ro', (root) => snapshot(root))
  for (let script = 0; script < scripts; script++) {
    let log: readonly string[] = []
    const edits = createRandom(seed + script + 1)
    const child = await bench.written(parent, (root) => {
      log = editTree(root, 1 + edits.below(12), edits)
    })
    try {
      await checkDiff(bench, before, parent, child)
    } catch (error) {
      throw new Error(`after these edits (seed ${seed}, script ${script}):\n${log.join('\n')}`, {
        cause: error,
      })
    }
    await bench.driver.remove(child)
  }
}

async function checkDiff(
  bench: Bench,
  before: Snapshot,
  parent: Parameters<Bench['written']>[0],
  child: Awaited<ReturnType<Bench['create']>>,
): Promise<void> {
  const after = await bench.mounted(child, 'ro', (root) => snapshot(root))
  assertExact(await bench.changes(child), before, after)

  const tar = await bench.diff(child)
  assert.ok(tar.equals(await bench.diff(child)), 'the same bytes twice')

  const twin = await bench.create(parent === undefined ? {} : { parent })
  await bench.apply(twin, [tar])
  await bench.driver.seal(twin)
  const copy = await bench.mounted(twin, 'ro', (root) => snapshot(root))
  assert.deepEqual(differences(after, copy), [], 'the diff applied to an equal tree')
  await bench.driver.remove(twin)
}

/** `changes` against two snapshots. A name may be listed beyond that only where its links are what changed. */
function assertExact(changes: readonly Change[], before: Snapshot, after: Snapshot): void {
  const lines = changes.map(({ path, kind }) => `${kind} ${path}`)
  const paths = changes.map(({ path }) => path)
  assert.deepEqual(paths, [...paths].sort(), 'sorted by bytes')
  const required = expected(before, after)
  const missing = required.filter((line) => !lines.includes(line))
  const linked = linkedPaths(before, after)
  const wrong = lines.filter((line) => {
    return (
      !required.includes(line) && !(line.startsWith('modify ') && linked.has(line.slice('modify '.length)))
    )
  })
  assert.deepEqual({ missing, wrong }, { missing: [], wrong: [] })
}

function expected(before: Snapshot, after: Snapshot): string[] {
  const lines: string[] = []
  for (const [path, line] of after) {
    const was = before.get(path)
    if (was === undefined) lines.push(`add ${path}`)
    else if (withoutLinks(was) !== withoutLinks(line)) lines.push(`modify ${path}`)
  }
  for (const path of before.keys()) {
    if (after.has(path)) continue
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (after.get(above)?.startsWith('directory ') === true) lines.push(`delete ${path}`)
  }
  return lines
}

/** Names that are there before and after, of a file that had or has several. */
function linkedPaths(before: Snapshot, after: Snapshot): ReadonlySet<string> {
  const linked = new Set<string>()
  for (const tree of [before, after]) {
    for (const [path, line] of tree) {
      const first = / = (.*?)(?= \S+=0x|$)/.exec(line)?.[1]
      if (first === undefined) continue
      linked.add(path)
      linked.add(first)
    }
  }
  return linked
}

function withoutLinks(line: string): string {
  return line.replace(/ = (.*?)(?= \S+=0x|$)/, '')
}
