/** A store's driver by itself: another one on its home, as another process has it, for what is done behind the store's back. */
import { join } from 'node:path'
import { openDatabase } from '../../core/db/database.js'
import type { Driver } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import type { Cell } from './suite.js'

export async function withStoreDriver<T>(
  root: string,
  { module, options }: Cell,
  use: (driver: Driver) => Promise<T>,
): Promise<T> {
  const db = openDatabase(join(root, 'varve.db'))
  try {
    const driver = await module.open({
      home: join(root, module.name),
      options: new Map(Object.entries(options)),
      parentOf: (id) => db.nodes.parentOf(id),
      state: db.driverState,
      warn: () => {},
    })
    try {
      return await use(driver)
    } finally {
      await driver.close()
    }
  } finally {
    db.close()
  }
}

/** The layers that are active, in order. */
export function activeIn(root: string, cell: Cell): Promise<readonly LayerId[]> {
  return withStoreDriver(root, cell, async (driver) => [...((await driver.active?.()) ?? [])].sort())
}
