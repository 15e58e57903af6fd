/** Refuses a root that has layers but no database: a new database would know nothing of them. */
import { fromText } from '../bytes.js'
import type { DriverModule } from '../driver.js'
import { VarveError } from '../errors.js'
import { RECORDS } from '../journal/place.js'
import { lstatOrUndefined } from '../sys/stat.js'

/** @throws VarveError CORRUPT where varve.db is missing or empty although there are layers or a journal */
export async function requireDatabase(root: string, drivers: readonly DriverModule[]): Promise<void> {
  const there = lstatOrUndefined(fromText(`${root}/varve.db`))
  if (there !== undefined && there.size > 0) return
  const isJournaled = lstatOrUndefined(fromText(`${root}/${RECORDS}/journal`)) !== undefined
  if (!isJournaled && (await holdersIn(root, drivers)).length === 0) return
  throw new VarveError(
    'CORRUPT',
    `store ${root}: its database varve.db is ${there === undefined ? 'gone' : 'empty'}, but the root holds layers or their journal; "varve check --rebuild" makes a new one from these`,
  )
}

/** The drivers that have layers in the root. */
export async function holdersIn(
  root: string,
  drivers: readonly DriverModule[],
): Promise<readonly DriverModule[]> {
  const holders: DriverModule[] = []
  for (const module of drivers) {
    if (await module.holdsLayers(fromText(`${root}/${module.name}`))) holders.push(module)
  }
  return holders
}
