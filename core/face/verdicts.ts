/** What the drivers say about a data root, whether its store opens, does not open, or was never made. */
import type { StoreOptions } from '../api/options.js'
import type { DriverVerdict } from '../api/store.js'
import { VarveError } from '../errors.js'
import { isDataRoot, probeDrivers } from '../root/probe.js'
import { refuseForeignState } from '../root/select.js'
import { failure } from '../sys/failure.js'

/**
 * Asks the store where there is one, and probes where there is none. A root that can't be opened is probed all the same: the
 * error becomes a warning, and no driver is selected.
 */
export async function driverVerdicts(options: StoreOptions): Promise<readonly DriverVerdict[]> {
  const { root, drivers, warn = () => {} } = options
  try {
    if (isDataRoot(root)) return await askStore(options)
    await refuseForeignState({ root, drivers, prior: undefined }, undefined)
  } catch (error) {
    if (!(error instanceof VarveError)) throw failure(error, `ask which drivers work in ${root}`)
    if (error.code === 'INVALID_ARGUMENT') throw error
    warn(error.message)
    const verdicts = await probeDrivers(options)
    return verdicts.map((verdict) => ({ ...verdict, selected: false }))
  }
  return probeDrivers(options)
}

async function askStore(options: StoreOptions): Promise<readonly DriverVerdict[]> {
  const { openStore } = await import('./open-store.js')
  const store = await openStore(options)
  try {
    return await store.drivers()
  } finally {
    await store.close()
  }
}
