/** The targets of `mount` and `umount`, as text. */
import { asText, fromText, toText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { MountRow } from '../db/mounts.js'
import type { NodeRow } from '../db/nodes.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import { nameOf } from '../graph/rules.js'
import { realpath } from '../sys/files.js'
import { isDirectory, stat } from '../sys/stat.js'
import { notMounted } from './errors.js'

/**
 * Gives the target without symlinks, as umount and the kernel's list of mounts want it. `root` is the data root, a byte
 * string. @throws VarveError INVALID_ARGUMENT
 */
export function requireTarget(target: string, root: string): string {
  const refuse = (why: string, cause?: unknown) =>
    new VarveError('INVALID_ARGUMENT', `mount target ${target}: ${why}`, { cause })
  if (!target.startsWith('/')) throw refuse('want an absolute path')
  let real: string
  try {
    real = realpath(fromText(target))
    if (!isDirectory(stat(real).mode)) throw refuse('not a directory')
  } catch (error) {
    throw error instanceof VarveError ? error : refuse(messageOf(error), error)
  }
  if (`${real}/`.startsWith(`${root}/`) || `${root}/`.startsWith(real === '/' ? '/' : `${real}/`))
    throw refuse(`would cover the store's own files in ${toText(root)}`)
  return asText(real)
}

/** The same for a target that was mounted before, and may be gone. */
export function realTarget(target: string): string {
  try {
    return asText(realpath(fromText(target)))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return target // as the row has it
    throw error
  }
}

/** The mount that is meant when nobody says which. @throws VarveError FAILED_PRECONDITION */
export function onlyMount(db: Database, row: NodeRow): MountRow {
  const mounts = db.mounts.byNode(row.id).filter((each) => each.count > 0)
  const own = mounts.find((each) => each.own)
  const only: MountRow | undefined = own ?? (mounts.length === 1 ? mounts[0] : undefined)
  if (only !== undefined) return only
  if (mounts.length === 0) throw notMounted(db, row, undefined)
  const targets = mounts.map((each) => each.target).join(', ')
  throw new VarveError(
    'FAILED_PRECONDITION',
    `unmount layer ${nameOf(db, row)}: mounted at ${targets}; say which`,
  )
}
