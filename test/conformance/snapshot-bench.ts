/** Helpers for cases about snapshots. Trees are read by the oracle. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Change } from '../../core/driver.js'
import { isCode } from '../../core/errors.js'
import type { ErrorCode, Snapshots } from '../../core/store.js'
import { type Snapshot, snapshot } from '../support/oracle.js'
import type { StoreBench } from './store-bench.js'
import type { Case } from './suite.js'

export function snapshotCase(title: string, run: (bench: StoreBench) => Promise<void>): Case {
  return { group: 'snapshots', title, run: (world) => world.withStore(run) }
}

/** Runs `use` in the current mounts of an active snapshot. */
export async function inside<T>(
  bench: StoreBench,
  key: string,
  use: (path: string) => T | Promise<T>,
): Promise<T> {
  return bench.performed(await bench.store.snapshots.mounts(key), use)
}

/** A committed snapshot `name` on `parent` with what `write` wrote. */
export async function layer(
  bench: StoreBench,
  name: string,
  parent: string | undefined,
  write: (path: string) => void | Promise<void>,
): Promise<string> {
  const key = `${name} in the making`
  await bench.store.snapshots.prepare(key, { parent })
  await inside(bench, key, write)
  await bench.store.snapshots.commit(name, key)
  return name
}

/** Runs `use` in a view of a committed snapshot. */
export async function viewed<T>(
  bench: StoreBench,
  name: string,
  use: (path: string) => T | Promise<T>,
): Promise<T> {
  const key = `look at ${name}`
  const mounts = await bench.store.snapshots.view(key, { parent: name })
  try {
    return await bench.performed(mounts, use)
  } finally {
    await bench.store.snapshots.remove(key)
  }
}

export function treeOf(bench: StoreBench, name: string): Promise<Snapshot> {
  return viewed(bench, name, (path) => snapshot(path))
}

/** The changes from `a` (default: the parent) to `b` according to the store. */
export async function changesOf(
  bench: StoreBench,
  b: string,
  a?: string,
): Promise<readonly Pick<Change, 'path' | 'kind'>[]> {
  const found: Pick<Change, 'path' | 'kind'>[] = []
  for await (const { path, kind } of bench.store.diff(a, b)) found.push({ path, kind })
  return found
}

export const namesOf = (snapshots: Snapshots): string[] => Array.from(snapshots.walk(), ({ name }) => name)

/** Returns a function that writes a file in a directory. */
export const write = (name: string, content: string) => (path: string) =>
  fs.writeFileSync(`${path}/${name}`, content)
export const read = (path: string, name: string): string => fs.readFileSync(`${path}/${name}`, 'utf8')
/** Excludes what a new file system has by itself. */
export const isOurs = (name: string): boolean => name !== 'lost+found'

export async function rejects(call: () => Promise<unknown>, words: RegExp, code: ErrorCode): Promise<void> {
  await assert.rejects(call, (error: unknown) => isCode(error, code) && words.test(error.message))
}
