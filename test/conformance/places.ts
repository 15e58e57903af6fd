/** Performs mounts that a bench has as data. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../core/driver.js'
import { attach, unmount } from '../../core/sys/mount/mount.js'

export interface Places {
  /** Runs `use` with these mounts performed at a path of their own. */
  performed<T>(mounts: readonly Mount[], use: (path: string) => T | Promise<T>): Promise<T>
  /** Unmounts what a failed case left mounted. */
  unmountAll(): void
}

/** The mounts of a sealed layer, so that it can be written to: what nobody but an ill-wisher does. */
export function writable(mounts: readonly Mount[]): readonly Mount[] {
  return mounts.map((mount) => ({
    ...mount,
    options: mount.options.map((option) => (option === 'ro' ? 'rw' : option)),
  }))
}

/** Creates `directory` for the mounts alone. */
export function createPlaces(directory: string): Places {
  mkdirSync(directory, { mode: 0o700 })
  const mounted = new Set<string>()
  let count = 0
  return {
    async performed(mounts, use) {
      const path = join(directory, `${count++}`)
      mkdirSync(path)
      attach(mounts, path)
      mounted.add(path)
      try {
        return await use(path)
      } finally {
        unmount(path)
        mounted.delete(path)
      }
    },
    unmountAll() {
      for (const path of [...mounted].reverse()) unmount(path, { lazy: true })
      mounted.clear()
    },
  }
}
