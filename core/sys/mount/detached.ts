/** Mounts that are attached nowhere: a tree of them that is reached by one descriptor, and gone with it. */
import type { Mount } from '../../driver.js'
import { errnoOf, VarveError } from '../../errors.js'
import { runInWorker } from '../../threads/worker.js'
import { close } from '../files.js'
import { isPropagation } from './options.js'
import { explained, noMounts, placeName } from './perform.js'
import { innerTarget, openInside } from './target.js'
import { attachTree, mountTree } from './tree.js'

/**
 * What `attach` of mount.ts would make visible, attached nowhere: reachable at `/proc/self/fd/N/…`, by the `At` calls and by
 * `enterJail(fd)`, gone when `fd` is closed (`close` of core/sys/files.ts) or the process ends. Mounts before the last one without a
 * target of its own are hidden by that, and not made. Words on propagation mean nothing here.
 * @throws VarveError as `attach` does, and INVALID_ARGUMENT where all of them have a target
 */
export async function detached(mounts: readonly Mount[]): Promise<{ readonly fd: number }> {
  const visible = visibleOf(mounts)
  return { fd: stack(visible) ?? (await detachedInThread(visible)) }
}

/** The same by a thread that makes the tree in a mount namespace of its own, as older kernels need it. */
export async function detachedInThread(mounts: readonly Mount[]): Promise<number> {
  return runInWorker(new URL('./detached-worker.js', import.meta.url), visibleOf(mounts))
}

/** The last mount at the root, and those inside it, without their words of propagation. */
function visibleOf(mounts: readonly Mount[]): readonly [root: Mount, ...inside: Mount[]] {
  const last = mounts.findLastIndex((mount) => innerTarget(mount) === '')
  const [root, ...inside] = mounts.slice(Math.max(last, 0))
  if (root === undefined) throw noMounts()
  if (last < 0)
    throw new VarveError(
      'INVALID_ARGUMENT',
      `${root.type}: mount: of the mounts none is at the root of the others`,
    )
  return [withoutPropagation(root), ...inside.map(withoutPropagation)]
}

function withoutPropagation(mount: Mount): Mount {
  return { ...mount, options: mount.options.filter((word) => !isPropagation(word)) }
}

/** Undefined where one of them takes mount(2), or the kernel can't attach a mount in a detached one (before 6.15). */
function stack([root, ...inside]: readonly [root: Mount, ...inside: Mount[]]): number | undefined {
  const fd = explained(root, '', () => mountTree(root))
  if (fd === undefined) return undefined
  let done = false
  try {
    done = inside.every((mount) => explained(mount, placeName(mount, ''), () => stackOne(fd, mount)))
    return done ? fd : undefined
  } finally {
    if (!done) close(fd)
  }
}

function stackOne(root: number, mount: Mount): boolean {
  const place = openInside(root, mount)
  try {
    const tree = mountTree(mount)
    if (tree === undefined) return false
    try {
      attachTree(tree, place, innerTarget(mount))
      return true
    } catch (error) {
      if (errnoOf(error) === 'EINVAL') return false
      throw error
    } finally {
      close(tree)
    }
  } finally {
    close(place)
  }
}
