/** The directory in which the benchmarks work, removed at the end, also after Ctrl-C. */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { openDisk } from '../support/disk.js'
import { type FileSystem, type FileSystemKind, openFileSystem } from '../support/file-system.js'
import { stopRunning } from './measure.js'

export interface Place {
  /**
   * A directory on the measured file system: `$BENCH_DIR`, else a new ext4 in memory, where root and memory allow it. The
   * kernel and the disk cost least there, so that varve's own cost shows; an old, slow disk hides it.
   */
  readonly directory: string
  /** The kind of file system, for the report. */
  readonly kind: string
  /** Runs `use` with a new file system on a file in it, which is removed afterwards. */
  within<T>(kind: FileSystemKind, use: (path: string) => Promise<T>): Promise<T>
  close(): void
}

export function openPlace(): Place {
  const disk = process.env.BENCH_DIR === undefined ? openDisk() : undefined
  const above = process.env.BENCH_DIR ?? disk?.directory ?? ''
  const directory = mkdtempSync(join(above, '.bench-'))
  process.env.TMPDIR = directory
  const open = new Set<FileSystem>()
  const close = () => {
    try {
      for (const each of open) each.close()
    } finally {
      remove()
    }
  }
  const remove = () => {
    rmSync(directory, { recursive: true, force: true })
    disk?.close()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      stopRunning()
      try {
        close()
      } catch {
        // A process still uses a file system, which was detached and ends with this process.
      } finally {
        process.exit(128 + constants.signals[signal])
      }
    })
  }
  return {
    directory,
    kind: disk?.kind ?? above,
    async within(kind, use) {
      const fileSystem = openFileSystem(kind, { size: '4G' })
      open.add(fileSystem)
      try {
        return await use(fileSystem.path)
      } finally {
        open.delete(fileSystem)
        fileSystem.close()
      }
    },
    close,
  }
}
