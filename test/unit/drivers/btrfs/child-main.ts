/** See child.ts. */
import type { Driver } from '../../../../core/driver.js'
import { type LayerId, parseLayerId } from '../../../../core/ids.js'
import { btrfs } from '../../../../drivers/btrfs/driver.js'
import { createDriverState } from '../../../conformance/driver-state.js'

const [home = '', action, id = '-', parent = '-', size] = process.argv.slice(2)
const layer = id === '-' ? undefined : parseLayerId(id)
const lower = parent === '-' ? undefined : parseLayerId(parent)
const warnings: string[] = []
const state = createDriverState()

let output: object
try {
  const driver = await btrfs.open({
    home,
    options: new Map(),
    parentOf: (each) => (each === layer ? lower : undefined),
    state,
    warn: (message) => warnings.push(message),
  })
  const result = layer === undefined ? undefined : await perform(driver, layer)
  output = { result, warnings, status: await driver.status() }
} catch (error) {
  if (!(error instanceof Error)) throw error
  output = { error: { code: 'code' in error ? error.code : '', message: error.message }, warnings }
}
process.stdout.write(JSON.stringify(output))

async function perform(driver: Driver, layer: LayerId): Promise<unknown> {
  if (action === 'create') {
    const options = size === undefined ? {} : { options: new Map([['size', size]]) }
    return driver.create(layer, {
      writable: true,
      ...options,
      ...(lower === undefined ? {} : { parent: lower }),
    })
  }
  if (action === 'seal') return driver.seal(layer)
  if (action === 'unseal') {
    await driver.seal(layer)
    return driver.unseal?.(layer)
  }
  if (action === 'remove') return driver.remove(layer)
  const changes: unknown[] = []
  for await (const change of driver.changes(layer)) changes.push(change)
  return changes
}
