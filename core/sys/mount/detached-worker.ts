/** The thread of detached.ts: a tree of mounts, made where nobody else sees it. */
import { constants } from 'node:fs'
import type { Mount } from '../../driver.js'
import { VarveError } from '../../errors.js'
import { serve } from '../../threads/worker.js'
import { openAt } from '../files.js'
import { AT_FDCWD, O_PATH } from '../libc.js'
import { inOwnNamespace } from './own-namespace.js'
import { explained, perform } from './perform.js'
import { cloneMounts } from './tree.js'

/**
 * The mounts are attached on top of the root directory, from where `..` leads to them. Nothing is hidden by them: every
 * path begins at the thread's root, which is below.
 */
const TOP = '/..'

serve<readonly [Mount, ...Mount[]], number>((mounts) =>
  explained(mounts[0], '', () =>
    inOwnNamespace(() => {
      perform(mounts, TOP, { name: '' })
      return cloneMounts(TOP) ?? openTop(mounts.length)
    }),
  ),
)

/** Before Linux 5.2. A mount outlives its namespace while it is open, but what is mounted in it does not. */
function openTop(count: number): number {
  if (count > 1)
    throw new VarveError('UNIMPLEMENTED', 'mount: several mounts in a detached one take Linux 5.2')
  return openAt(AT_FDCWD, TOP, O_PATH | constants.O_DIRECTORY)
}
