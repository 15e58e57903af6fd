/** Where the benchmarks work, and what is taken away at their end, also after Ctrl-C. */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { cacheDirectory } from '../../fixtures/cache.js'
import { type FileSystem, type FileSystemKind, openFileSystem } from '../file-system.js'
import { stopRunning } from './measure.js'

export interface Place {
  /** A directory on the disk that is measured: `$BENCH_DIR`, else beside the fixtures (where /tmp may be memory). */
  readonly directory: string
  /** A new file system on a file there, gone after `use`. */
  within<T>(kind: FileSystemKind, use: (path: string) => Promise<T>): Promise<T>
  close(): void
}

export function openPlace(): Place {
  const directory = mkdtempSync(join(process.env.BENCH_DIR ?? cacheDirectory(), '.bench-'))
  process.env.TMPDIR = directory
  const open = new Set<FileSystem>()
  const close = () => {
    try {
      for (const each of open) each.close()
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      stopRunning()
      try {
        close()
      } catch {
        // Something of ours was at work in a file system: it was detached, and goes with this process.
      } finally {
        rmSync(directory, { recursive: true, force: true })
        process.exit(128 + constants.signals[signal])
      }
    })
  }
  return {
    directory,
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
