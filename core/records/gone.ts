/** A root with layers and without a database: a new one would know nothing of them. */
import { fromText } from '../bytes.js'
import type { DriverModule } from '../driver.js'
import { VarveError } from '../errors.js'
import { isMadeUp } from '../ids.js'
import { RECORDS } from '../journal/place.js'
import { namesIn } from '../sys/lenient.js'
import { isDirectory, lstatOrUndefined } from '../sys/stat.js'

/** @throws VarveError CORRUPT where varve.db is gone, or nothing is in it, and layers or a journal are there */
export function requireDatabase(root: string, drivers: readonly DriverModule[]): void {
  const there = lstatOrUndefined(fromText(`${root}/varve.db`))
  if (there !== undefined && there.size > 0) return
  if (!holdsLayers(root, drivers)) return
  throw new VarveError(
    'CORRUPT',
    `store ${root}: its database varve.db is ${there === undefined ? 'gone' : 'empty'}, but the root holds layers or their journal; "varve check --rebuild" makes a new one from these`,
  )
}

function holdsLayers(root: string, drivers: readonly DriverModule[]): boolean {
  if (lstatOrUndefined(fromText(`${root}/${RECORDS}/journal`)) !== undefined) return true
  return drivers.some(({ name }) => holdsLayersOf(root, name))
}

/** Does the driver of that name seem to have layers in the root? */
export function holdsLayersOf(root: string, driver: string): boolean {
  return hasLayerIn(fromText(`${root}/${driver}`), 2)
}

function hasLayerIn(folder: string, depth: number): boolean {
  const there = lstatOrUndefined(folder)
  if (there === undefined || !isDirectory(there.mode)) return false
  const names = namesIn(folder)
  if (names.some(isMadeUp)) return true
  return depth > 1 && names.some((name) => hasLayerIn(`${folder}/${name}`, depth - 1))
}
