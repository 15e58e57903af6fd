/** Options that nobody reads are refused, not ignored. */
import type { DriverOption } from '../core/driver.js'
import { VarveError } from '../core/errors.js'

/** @throws VarveError INVALID_ARGUMENT where a key is not among `known` */
export function refuseUnknown(
  driver: string,
  given: ReadonlyMap<string, string>,
  known: readonly DriverOption[],
): void {
  for (const key of given.keys()) {
    if (known.some((option) => option.key === key)) continue
    const words = known.map((option) => option.key).join(', ')
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${driver}: no such option ${JSON.stringify(key)}; ${words === '' ? 'it takes none' : `it takes ${words}`}`,
    )
  }
}

/** Options of one layer, for a driver without quotas. @throws VarveError INVALID_ARGUMENT for any */
export function refuseLayerOptions(
  driver: string,
  given: ReadonlyMap<string, string> | undefined,
  noQuota: string,
): void {
  for (const key of given?.keys() ?? []) {
    const reason = key === 'size' ? noQuota : 'a layer here takes no such option'
    throw new VarveError('INVALID_ARGUMENT', `${driver}: layer option ${JSON.stringify(key)}: ${reason}`)
  }
}

/** `on` or `off`; undefined where not given. @throws VarveError INVALID_ARGUMENT */
export function onOff(driver: string, given: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const value = given.get(key)
  if (value === undefined) return undefined
  if (value !== 'on' && value !== 'off') {
    throw new VarveError('INVALID_ARGUMENT', `${driver}: ${key}=${value}: say on or off`)
  }
  return value === 'on'
}
