/** A file system whose disk can lose power. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type FileSystemKind, openFileSystem, whyNoFileSystem } from '../support/file-system.js'
import { powerCut } from '../support/libc.js'

export interface PoweredFileSystem {
  /** The path of its root. */
  readonly path: string
  /** Cuts the power: all writes that were not flushed to the disk are lost. Then mounts the file system again. */
  cut(): void
  close(): void
}

/** Why it is not possible here; undefined where it is. */
export function whyNoPower(kind: FileSystemKind): string | undefined {
  return whyNoFileSystem(kind) ?? whyNoFileSystem('xfs')
}

/**
 * The disk is a file on a separate XFS, which is shut down to cut the power. The loop device turns a write into a write and
 * a flush into an fsync, so only what was flushed is sure to survive. Must be opened in a mount namespace that nobody else
 * enters.
 */
export function openPowered(kind: FileSystemKind): PoweredFileSystem {
  const disk = openFileSystem('xfs', { size: '1G' })
  try {
    const { path, remount, close } = openFileSystem(kind, {
      size: '512M',
      image: join(disk.path, 'image'),
      // So that nothing reaches the disk just because time passes. XFS has no such option.
      options: kind === 'xfs' ? [] : ['commit=300'],
    })
    return {
      path,
      cut() {
        powerCut(Buffer.from(disk.path))
        remount(() => {
          spawnSync('udevadm', ['settle']) // udev, if it runs, opens every loop device that appears or changes
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
