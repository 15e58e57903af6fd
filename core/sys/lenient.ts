/** Operations that also succeed if there is nothing to do. Paths are byte strings. */
import { errnoOf } from '../errors.js'
import { mkdir, readdir, unlink } from './files.js'

/** Makes a directory, 0700. Returns whether it was missing. @throws SysError */
export function ensureDirectory(path: string): boolean {
  return unless('EEXIST', () => mkdir(path, 0o700))
}

/** Removes a file. Returns whether it was there. @throws SysError */
export function removeIfThere(path: string): boolean {
  return unless('ENOENT', () => unlink(path))
}

/** The names in a directory; none where it is missing. @throws SysError */
export function namesIn(directory: string): readonly string[] {
  let names: readonly string[] = []
  unless('ENOENT', () => {
    names = readdir(directory)
  })
  return names
}

/** Does the work; false if it fails with `errno`, which says that there was nothing to do. */
export function unless(errno: string, work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (errnoOf(error) === errno) return false
    throw error
  }
}
