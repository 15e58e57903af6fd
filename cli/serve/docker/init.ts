/**
 * GraphDriver.Init, which dockerd calls once when it starts. It does not repeat it to a restarted service, so the store
 * keeps the request.
 */
import { resolve } from 'node:path'
import { optionsFor } from '../../../core/face/service.js'
import { type DriverModule, type Store, VarveError } from '../../../core/store.js'
import { type IdMap, idMapsIn, optionalIn, type Request, textsIn } from './request.js'

export interface InitContext {
  readonly store: Store
  readonly drivers: readonly DriverModule[]
  /** The `--storage-opt` that the store was opened with. */
  readonly storageOptions: readonly string[]
}

export interface Told {
  /** dockerd's folder for this driver; varve keeps nothing there. */
  readonly home: string | undefined
  readonly options: readonly string[]
  readonly uidMaps: readonly IdMap[]
  readonly gidMaps: readonly IdMap[]
}

const KEY = 'docker.init'

/** @throws VarveError INVALID_ARGUMENT, FAILED_PRECONDITION, UNIMPLEMENTED for what the service can't do */
export function init(context: InitContext, request: Request): void {
  const told: Told = {
    home: optionalIn(request, 'Home'),
    options: textsIn(request, 'Opts'),
    uidMaps: idMapsIn(request, 'UIDMaps'),
    gidMaps: idMapsIn(request, 'GIDMaps'),
  }
  requirePossible(context, told)
  const text = JSON.stringify(told)
  if (context.store.settings.get(KEY) !== text) context.store.settings.set(KEY, text)
  context.store.graphDriver.begin()
}

/** Why this service can't do what an earlier one accepted in Init: dockerd goes on without another Init. */
export function contradiction(context: InitContext, told: Told): string | undefined {
  try {
    requirePossible(context, told)
    return undefined
  } catch (error) {
    if (error instanceof VarveError) return error.message
    throw error
  }
}

/** The last Init; undefined where there was none yet. */
export function toldBefore(store: Store): Told | undefined {
  const text = store.settings.get(KEY)
  return text === undefined ? undefined : (JSON.parse(text) as Told)
}

function requirePossible(context: InitContext, told: Told): void {
  for (const option of told.options) requireOption(context, option)
  requireNoShift('UIDMaps', told.uidMaps)
  requireNoShift('GIDMaps', told.gidMaps)
}

/** `varve.driver=NAME`, `varve.root=DIR` or an option of the driver, which must match what the store was opened with. */
function requireOption({ store, drivers, storageOptions }: InitContext, option: string): void {
  const [key = '', value = ''] = option.split(/=(.*)/s)
  const differs = (is: string, then: string) =>
    new VarveError('FAILED_PRECONDITION', `storage option ${JSON.stringify(key)}: ${is}; ${then}`)
  if (key === 'varve.driver') {
    if (value === store.driverName) return
    throw differs(
      `the store in ${store.root} is on ${store.driverName}`,
      'leave the option out, or start varve serve with another --root and --driver',
    )
  }
  if (key === 'varve.root') {
    if (resolve(value) === store.root) return
    throw differs(`the service's store is in ${store.root}`, 'leave the option out')
  }
  const module = drivers.find((each) => each.name === store.driverName)
  if (module === undefined) throw new RangeError(`no driver ${store.driverName}`)
  const own = (words: readonly string[]) => optionsFor(module, drivers, words)
  const opened = own(storageOptions)
  for (const [name, wanted] of own([option])) {
    if (opened.get(name) === wanted) continue
    throw differs(
      `the store was opened ${opened.has(name) ? 'with another value' : 'without it'}`,
      `it is for the service: varve --storage-opt ${key}=VALUE serve docker`,
    )
  }
}

function requireNoShift(field: string, maps: readonly IdMap[]): void {
  const shift = maps.find((map) => map.container !== map.host)
  if (shift === undefined) return
  throw new VarveError(
    'UNIMPLEMENTED',
    `${field}: map container id ${shift.container} to ${shift.host}: this version does not map owners; start dockerd without --userns-remap`,
  )
}
