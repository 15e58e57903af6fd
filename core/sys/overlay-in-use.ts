/**
 * Is a directory the upper one of an overlay that lives, wherever that is mounted, or is no longer since it was unmounted
 * lazily? The kernel marks such a directory, and with `index=on` refuses another overlay any part in it
 * (Documentation/filesystems/overlayfs.rst, "Sharing and copying layers"): so one is asked for in which it is a lower.
 */
import { errnoOf, VarveError } from '../errors.js'
import { close } from './files.js'
import { ensureDirectory } from './lenient.js'
import { detached } from './mount.js'
import { escapePath } from './overlay-data.js'

/** `scratch`: an own directory, to be used for nothing else. Undefined where this kernel or file system can't tell. */
export function isUpperInUse(upper: string, scratch: string): boolean | undefined {
  const [probe, work] = [`${scratch}/overlay-upper`, `${scratch}/overlay-work`]
  for (const path of [probe, work]) ensureDirectory(path)
  // Read-only, so that its end does not wait for all that anybody wrote to that file system.
  const options = ['ro', 'index=on', `lowerdir=${escapePath(upper)}`, `upperdir=${escapePath(probe)}`]
  try {
    close(
      detached([{ type: 'overlay', source: 'overlay', options: [...options, `workdir=${escapePath(work)}`] }])
        .fd,
    )
    return false
  } catch (error) {
    const errno = error instanceof VarveError ? errnoOf(error.cause) : undefined
    if (errno === 'EBUSY') return true
    // ESTALE: the probe was another layer's before, which is asked only after the mark.
    return errno === 'ESTALE' ? false : undefined
  }
}
