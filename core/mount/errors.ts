/** The errors of mounting and unmounting a layer. */
import type { Database } from '../db/database.js'
import type { NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import { nameOf } from '../graph/rules.js'

/** @throws VarveError FAILED_PRECONDITION where a layer is mounted at `target` */
export function refuseTaken(db: Database, target: string): void {
  const taken = db.mounts.byTarget(target)
  if (taken === undefined) return
  const other = db.nodes.get(taken.node)
  throw new VarveError(
    'FAILED_PRECONDITION',
    `${target}: layer ${other ? nameOf(db, other) : taken.node} is mounted there; unmount it first, or take another place`,
  )
}

export function needsRoot(name: string, driver: Pick<Driver, 'name' | 'supports'>): VarveError {
  const instead = driver.supports.rootless
    ? "without it, 'varve mount ID' without TARGET gives the directory of a writable layer, and ls, cat and export read any"
    : `the driver ${driver.name} does not work without it`
  return new VarveError('FAILED_PRECONDITION', `mount layer ${name}: mounting needs root; ${instead}`)
}

export function notMounted(db: Database, row: NodeRow, target: string | undefined): VarveError {
  const where = target === undefined ? '' : ` at ${target}`
  return new VarveError('FAILED_PRECONDITION', `layer ${nameOf(db, row)}: is not mounted${where}`)
}

/** An unmount would take down what lies on top. */
export function covered(name: string, target: string): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `unmount layer ${name} at ${target}: something else is mounted over it; unmount that first`,
  )
}

export function failed(what: string, name: string, target: string, error: unknown): unknown {
  if (error instanceof VarveError) return error
  const hint = HINTS[errnoOf(error) ?? '']
  const code = hint === undefined ? 'UNAVAILABLE' : 'FAILED_PRECONDITION'
  return new VarveError(code, `${what} layer ${name} at ${target}: ${messageOf(error)}${hint ?? ''}`, {
    cause: error,
  })
}

const HINTS: Readonly<Record<string, string>> = {
  EPERM: '; mounting takes root',
  EBUSY:
    '; files are still open there, or something is mounted below it (fuser -vm tells): close them and unmount again',
}
