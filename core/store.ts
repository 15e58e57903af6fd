/**
 * The public API, the package's entry `varve`: opens a store, says which drivers work for a root, rebuilds a lost database,
 * and has what goes with that: errors, digests and names. Importing it loads only these small things; `openStore` loads the
 * rest.
 */

import type { StoreOptions } from './api/options.js'
import type { DriverVerdict, Store } from './api/store.js'

export type * from './api/graph-driver.js'
export type * from './api/options.js'
export type * from './api/snapshots.js'
/** The engine whose snapshots are in `Store.snapshots`, for those who list layers with their owners. */
// biome-ignore lint/performance/noBarrelFile: this file is the package's public API
export { SNAPSHOT_ENGINE } from './api/snapshots.js'
export type * from './api/store.js'
/**
 * Names and paths in a layer are byte strings: `toText` shows one to a person, `asText` and `toBytes` give it to a system
 * call, and `fromText` makes one of what a person typed.
 */
export { asText, fromText, toBytes, toText } from './bytes.js'
export type {
  Applied,
  ApplyOptions,
  Change,
  ChangeKind,
  CreateOptions,
  Driver,
  DriverContext,
  DriverModule,
  DriverOption,
  DriverState,
  Healed,
  Host,
  InodeKind,
  LeftOut,
  Mount,
  Probe,
  ReplacedPayload,
  Supports,
  Usage,
  Verdict,
} from './driver.js'
export type { ErrorCode, ErrorStatus } from './errors.js'
/** A store throws `VarveError`; `STATUS` has the exit status, the HTTP status and the gRPC status of each code. */
export { errnoOf, isCode, STATUS, VarveError } from './errors.js'
/** Which engine made a layer, by its labels. */
export { engineOf } from './graph/labels.js'
export type { ChainId, Digest, LayerId } from './ids.js'
/** Digests and layer ids are branded types: parse them where they come in. */
export { isDigest, parseDigest, parseLayerId } from './ids.js'
export type { ByteChannel } from './threads/channel.js'

/**
 * Opens (or makes) the store in a data root, and finishes or undoes what a crash left there.
 * @throws VarveError INVALID_ARGUMENT (unknown driver or option), FAILED_PRECONDITION (another driver's root, no driver
 * works here, a newer schema, not writable), CORRUPT (the database)
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const opening = await import('./face/open-store.js')
  return opening.openStore(options)
}

/**
 * The verdict of each driver on a data root, in the order of selection; no root is made. If the root can't be opened, `warn`
 * gets the reason and no driver is selected.
 * @throws VarveError INVALID_ARGUMENT (unknown driver or option)
 */
export async function driverVerdicts(options: StoreOptions): Promise<readonly DriverVerdict[]> {
  const asking = await import('./face/verdicts.js')
  return asking.driverVerdicts(options)
}

/**
 * Rebuilds the database of a root from the files beside its layers, if it is gone, garbage or altered; the old one is kept
 * in `backup/`. Nothing else may use the root meanwhile. Afterwards `check({ repair: true })` brings back the rest.
 * @throws VarveError FAILED_PRECONDITION if there are no layers of any of the drivers
 */
export async function rebuildDatabase(options: Pick<StoreOptions, 'root' | 'drivers'>): Promise<void> {
  const { rebuild } = await import('./recover/rebuild.js')
  await rebuild(options)
}
