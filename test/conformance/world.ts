/**
 * What a case gets: drivers and stores in new directories of the cell, each checked when the case is done with it. Nothing
 * may stay mounted, removing all layers must leave no layer and no file, and a store must check clean.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Supports } from '../../core/driver.js'
import { type DriverBench, openDriverBench } from './driver-bench.js'
import { openStoreBench, type StoreBench } from './store-bench.js'
import type { Cell } from './suite.js'

export interface World {
  readonly cell: Cell
  readonly supports: Supports
  /** A layer has to be activated before it is mounted (`Driver.active`). */
  readonly activates: boolean
  /** The driver keeps the tars that it is filled with (`Driver.tar`). */
  readonly keepsTars: boolean
  /** Seeds the random cases; printed with every outcome. */
  readonly seed: number
  /** Number of random edit scripts to run. */
  readonly scripts: number
  /** A driver on a home of its own. */
  withDriver(use: (bench: DriverBench) => Promise<void>): Promise<void>
  /** Removes all that the running case has created, when a run is interrupted. Ignores errors. */
  abandon(): Promise<void>
  /** A store on a root of its own; the full check of it must find nothing at the end. */
  withStore(use: (bench: StoreBench) => Promise<void>): Promise<void>
}

export async function openWorld(
  cell: Cell,
  { seed, scripts }: Pick<World, 'seed' | 'scripts'>,
): Promise<World> {
  const options = new Map(Object.entries(cell.options))
  /** Open benches by their directory. */
  const benches = new Map<string, { end(): Promise<void> } | undefined>()
  const within = async <Bench extends { end(): Promise<void> }>(
    open: (directory: string) => Promise<Bench>,
    use: (bench: Bench) => Promise<void>,
  ): Promise<void> => {
    const directory = mkdtempSync(join(cell.root, 'varve-conformance-'))
    benches.set(directory, undefined)
    try {
      const bench = await open(directory)
      benches.set(directory, bench)
      await endWith(
        () => use(bench),
        () => bench.end(),
      )
    } finally {
      rmSync(directory, { recursive: true, force: true })
      benches.delete(directory)
    }
  }
  const withDriver: World['withDriver'] = (use) =>
    within((directory) => openDriverBench(cell.module, options, directory), use)
  let supports: Supports | undefined
  let activates = false
  let keepsTars = false
  await withDriver(async ({ driver }) => {
    supports = driver.supports
    activates = driver.active !== undefined
    keepsTars = driver.tar !== undefined
  })
  assert.ok(supports !== undefined)
  return {
    cell,
    supports,
    activates,
    keepsTars,
    seed,
    scripts,
    withDriver,
    withStore: (use) => within((directory) => openStoreBench(cell, directory), use),
    async abandon() {
      for (const [directory, bench] of benches) {
        await bench?.end().catch(() => {
          // The case was cut off, so anything may fail.
        })
        rmSync(directory, { recursive: true, force: true })
      }
    },
  }
}

/** Always runs `end`; if both fail, throws the error of `use`. */
export async function endWith(use: () => Promise<void>, end: () => Promise<void>): Promise<void> {
  try {
    await use()
  } catch (error) {
    await end().catch(() => {
      // After a failed case anything may be left.
    })
    throw error
  }
  await end()
}
