/** Helpers for cases about activation. */
import type { Driver } from '../../core/driver.js'
import { openStore, type Store } from '../../core/store.js'
import { tarOf } from './layer-tar.js'
import type { StoreBench } from './store-bench.js'
import { activeIn } from './store-driver.js'
import type { Case, Cell } from './suite.js'
import { file } from './trees.js'
import type { World } from './world.js'

/** More than is read at once. */
export const BIG = 3_000_000

export const inactive = ({ activates }: World): string | undefined =>
  activates ? undefined : 'no layer of the backend has to be activated (active)'

export interface Given {
  readonly bench: StoreBench
  readonly cell: Cell
  /** The store that is open at first. */
  readonly store: Store
  /** The layers that are active now. */
  active(): Promise<readonly string[]>
}

export function storeCase(title: string, run: (given: Given) => Promise<void>): Case {
  return {
    group: 'activation',
    title,
    impossible: inactive,
    run: ({ cell, withStore }) =>
      withStore((bench) =>
        run({ bench, cell, store: bench.store, active: () => activeIn(bench.root, cell) }),
      ),
  }
}

/** Another store on the root, as another process has it; `between` is called after each `get` of its driver. */
export async function withOther(
  { bench, cell }: Given,
  use: (store: Store) => Promise<void>,
  between = async () => {},
): Promise<void> {
  const pausing = (driver: Driver): Driver => ({
    ...driver,
    async get(id, options) {
      const mounts = await driver.get(id, options)
      await between()
      return mounts
    },
  })
  const store = await openStore({
    root: bench.root,
    drivers: [{ ...cell.module, open: async (context) => pausing(await cell.module.open(context)) }],
    storageOptions: Object.entries(cell.options).map(([key, value]) => `${key}=${value}`),
  })
  try {
    await use(store)
  } finally {
    await store.close()
  }
}

export async function importBig(bench: StoreBench): Promise<string> {
  return (await bench.store.importLayer(bench.file(tarOf({ big: file('x'.repeat(BIG)) })))).id
}

export async function drain(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

/** Reads the first part, and gives what reads the rest. */
export async function begun(source: AsyncIterable<unknown>): Promise<() => Promise<void>> {
  const iterator = source[Symbol.asyncIterator]()
  await iterator.next()
  return async () => {
    while ((await iterator.next()).done !== true);
  }
}
