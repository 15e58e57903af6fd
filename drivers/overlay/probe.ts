/** May overlayfs be used for a data root here? Tried in a directory of its own (drivers/overlayfs/trial.ts). */
import { toText } from '../../core/bytes.js'
import type { Host, Probe, Verdict } from '../../core/driver.js'
import { errnoOf, isCode, VarveError } from '../../core/errors.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { hasFileSystem } from '../kernel.js'
import { type Features, readFeatures } from '../overlayfs/features.js'
import { refuseBacking, testBacking, testMounts } from '../overlayfs/trial.js'
import { withTemporary } from '../temporary.js'

type Facts = Probe['facts']

export async function probe(host: Host): Promise<Probe> {
  const backing = fsName(statfs(host.scratch).type)
  const facts: Facts = [['Backing Filesystem', backing]]
  const no = (verdict: Verdict, reason: string): Probe => ({ verdict, reason, facts })
  const known = await hasFileSystem('overlay')
  if (known !== true) return no('unsupported', known)
  const unfit = refuseBacking(backing)
  if (unfit !== undefined) return { ...unfit, facts }
  try {
    return await withTemporary(host.scratch, async (directory) => {
      const failed = testBacking(directory, backing)
      if (failed !== undefined) return { ...failed, facts }
      const features = readFeatures(directory, { driver: 'overlay', options: host.options, marked: false })
      const found = [...facts, ...factsOf(features)]
      const broken = await testMounts(directory, backing, features)
      return broken === undefined
        ? { verdict: 'supported', reason: '', facts: found }
        : { ...broken, facts: found }
    })
  } catch (error) {
    // A mistake in an option's value is the user's to mend: passing overlay over would hide it.
    if (isCode(error, 'INVALID_ARGUMENT')) throw error
    if (error instanceof VarveError) return no('prerequisite missing', error.message)
    const errno = errnoOf(error)
    if (errno !== 'EACCES' && errno !== 'EPERM' && errno !== 'EROFS') throw error
    const said = error instanceof Error ? error.message : ''
    return no('prerequisite missing', `a test directory in ${toText(host.scratch)}: ${said}`)
  }
}

/** What `status` and `info` show, in the names that moby's overlay2 has for them. */
export function factsOf(features: Features): Facts {
  return [
    ['Supports d_type', 'true'], // else the driver would not be supported
    ['Using metacopy', String(features.metacopy === true)],
    ['Using redirect_dir', String(features.redirectDir === true)],
    ['Native Overlay Diff', 'true'],
    ['userxattr', String(features.userxattr)],
  ]
}
