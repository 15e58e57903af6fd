/** A file system whose disk loses power. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type FileSystemKind, openFileSystem, whyNoFileSystem } from '../support/file-system.js'
import { powerCut } from '../support/libc.js'

export interface PoweredFileSystem {
  /** Its root. */
  readonly path: string
  /** Off and on again: what it had not waited for (a flush of the disk's cache) is gone, and it has been mounted anew. */
  cut(): void
  close(): void
}

/** Why there can be none here; undefined where there can. */
export function whyNoPower(kind: FileSystemKind): string | undefined {
  return whyNoFileSystem(kind) ?? whyNoFileSystem('xfs')
}

/**
 * Its disk is a file on an XFS of its own, which is shut down: the loop device makes a write of a write, and an fsync of a
 * flush, so exactly what was flushed is sure to be there. To be opened in a mount namespace that nobody else enters.
 */
export function openPowered(kind: FileSystemKind): PoweredFileSystem {
  const disk = openFileSystem('xfs', { size: '1G' })
  try {
    const { path, remount, close } = openFileSystem(kind, {
      size: '512M',
      image: join(disk.path, 'image'),
      // So that nothing gets to disk for having waited long enough. XFS takes no such option.
      options: kind === 'xfs' ? [] : ['commit=300'],
    })
    return {
      path,
      cut() {
        powerCut(Buffer.from(disk.path))
        remount(() => {
          spawnSync('udevadm', ['settle']) // where it is there, it looks into every loop device that comes or goes
          disk.remount()
        })
      },
      close() {
        try {
          close()
        } finally {
          disk.close()
        }
      },
    }
  } catch (error) {
    disk.close()
    throw error
  }
}
