/** What an engine does with the mounts that it is given: performs them, and works there. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../core/driver.js'
import { attach, unmount } from '../../core/sys/mount.js'

/** Runs `use` with the mounts performed in `place`. Synchronous, so that one place does for everybody. */
export function mounted<T>(place: string, mounts: readonly Mount[], use: (path: string) => T): T {
  const path = join(place, 'mnt')
  mkdirSync(path, { recursive: true })
  attach(mounts, path)
  try {
    return use(path)
  } finally {
    unmount(path)
  }
}
