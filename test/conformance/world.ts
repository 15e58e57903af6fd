/**
 * What a case is given: drivers and stores in new directories of the cell, each looked over when the case is done with it.
 * Nothing may stay mounted, no layer and no file may be left where all layers are removed, a store must check clean.
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
  /** For what is random; printed with every outcome. */
  readonly seed: number
  /** How many random edit scripts to run. */
  readonly scripts: number
  /** A driver on a home of its own. */
  withDriver(use: (bench: DriverBench) => Promise<void>): Promise<void>
  /** A store on a root of its own; the full check of it must find nothing at the end. */
  withStore(use: (bench: StoreBench) => Promise<void>): Promise<void>
}

export async function openWorld(
  cell: Cell,
  { seed, scripts }: Pick<World, 'seed' | 'scripts'>,
): Promise<World> {
  const options = new Map(Object.entries(cell.options))
  const within = async (use: (directory: string) => Promise<void>): Promise<void> => {
    const directory = mkdtempSync(join(cell.root, 'varve-conformance-'))
    try {
      await use(directory)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
  const withDriver: World['withDriver'] = (use) =>
    within(async (directory) => {
      const bench = await openDriverBench(cell.module, options, directory)
      await endWith(
        () => use(bench),
        () => bench.end(),
      )
    })
  let supports: Supports | undefined
  await withDriver(async ({ driver }) => {
    supports = driver.supports
  })
  assert.ok(supports !== undefined)
  return {
    cell,
    supports,
    seed,
    scripts,
    withDriver,
    withStore: (use) =>
      within(async (directory) => {
        const bench = await openStoreBench(cell, directory)
        await endWith(
          () => use(bench),
          () => bench.end(),
        )
      }),
  }
}

/** Runs `end` in any case; where both fail, what `use` says matters more. */
async function endWith(use: () => Promise<void>, end: () => Promise<void>): Promise<void> {
  try {
    await use()
  } catch (error) {
    await end().catch(() => {
      // A case that failed half-way may leave anything.
    })
    throw error
  }
  await end()
}
