/**
 * Is a directory the upper of a live overlay, wherever that is mounted, or if it was unmounted lazily and is still in use?
 * The kernel marks such a directory, and with `index=on` refuses it to another overlay
 * (Documentation/filesystems/overlayfs.rst, "Sharing and copying layers"). So this tries to mount one with it as a lower.
 */
import { errnoOf, VarveError } from '../../errors.js'
import { close } from '../files.js'
import { ensureDirectory } from '../lenient.js'
import { detached } from './detached.js'
import { escapePath } from './overlay-data.js'

/** `scratch`: a directory that is used for nothing else. Undefined if this kernel or file system can't tell. */
export async function isUpperInUse(upper: string, scratch: string): Promise<boolean | undefined> {
  const [probe, work] = [`${scratch}/overlay-upper`, `${scratch}/overlay-work`]
  for (const path of [probe, work]) ensureDirectory(path)
  // Read-only, so that unmounting it does not sync the whole file system.
  const options = ['ro', 'index=on', `lowerdir=${escapePath(upper)}`, `upperdir=${escapePath(probe)}`]
  try {
    const mount = { type: 'overlay', source: 'overlay', options: [...options, `workdir=${escapePath(work)}`] }
    const { fd } = await detached([mount])
    close(fd)
    return false
  } catch (error) {
    const errno = error instanceof VarveError ? errnoOf(error.cause) : undefined
    if (errno === 'EBUSY') return true
    // ESTALE: the probe's upper was used with another layer before. The kernel checks that only after the mark.
    return errno === 'ESTALE' ? false : undefined
  }
}
