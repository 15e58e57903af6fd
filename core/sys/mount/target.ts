/** Where a mount goes in the mounts before it: its `target`, which must not lead out of them. */

import { toText } from '../../bytes.js'
import type { Mount } from '../../driver.js'
import { errnoOf, VarveError } from '../../errors.js'
import { close, openat2, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS } from '../files.js'
import { O_PATH } from '../libc.js'
import { identityAt, isSameDirectory, isSameMount } from './id.js'

/** A relative path; '' at the root of the mounts before it. */
export function innerTarget({ target = '' }: Mount): string {
  return target
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/')
}

/**
 * A descriptor of the mount's target below `root`, with links that stay there followed; only to be named in other calls.
 * @throws SysError, VarveError INVALID_ARGUMENT where it leads out, or to the root itself
 */
export function openInside(root: number, mount: Mount): number {
  const fd = openBeneath(root, mount)
  try {
    if (isSamePlace(fd, root)) throw refused(mount, 'is their root, for which it is to be left out')
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

function openBeneath(root: number, mount: Mount): number {
  try {
    const resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
    return openat2(root, innerTarget(mount), { flags: O_PATH, resolve })
  } catch (error) {
    // EXDEV: by `..` or an absolute link; ELOOP: by a link of /proc, or in a circle.
    if (errnoOf(error) === 'EXDEV' || errnoOf(error) === 'ELOOP') throw refused(mount, 'leads out of them')
    throw error
  }
}

/** A mount there would cover all the others. */
function isSamePlace(a: number, b: number): boolean {
  const [first, second] = [a, b].map((fd) => identityAt(`/proc/self/fd/${fd}/.`))
  if (first === undefined || second === undefined) return false // a file, or a kernel that does not tell (before 5.8)
  return isSameMount(first, second) && isSameDirectory(first, second)
}

function refused({ type, target = '' }: Mount, why: string): VarveError {
  return new VarveError(
    'INVALID_ARGUMENT',
    `${type}: mount in the mounts before it: the target ${toText(target)} ${why}`,
  )
}
