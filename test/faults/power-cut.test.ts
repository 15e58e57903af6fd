/**
 * Power cuts while snapshots are created, committed and removed and layers are imported, before and after every step. The
 * process is killed, and the disk loses all that was not flushed. Afterwards everything that was reported is there, and
 * nothing is half-made.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FileSystemKind } from '../support/file-system.js'
import { whyNoPower } from './power-cut-disk.js'

const SCRIPT = fileURLToPath(new URL('./power-cut-rounds.js', import.meta.url))

const CASES: readonly (readonly [driver: string, ...kinds: FileSystemKind[]])[] = [
  ['overlay', 'ext4', 'xfs', 'btrfs'],
  ['vfs', 'ext4', 'btrfs'],
  ['btrfs', 'btrfs'],
]

for (const [driver, ...kinds] of CASES) {
  for (const kind of kinds) {
    test(`${driver} on ${kind}: a power cut takes nothing that was reported`, {
      skip: whyNoPower(kind) ?? false,
    }, () => {
      const alone = ['--mount', '--propagation', 'private', process.execPath]
      const { status, stderr } = spawnSync('unshare', [...alone, SCRIPT, driver, kind], { encoding: 'utf8' })
      assert.equal(status, 0, stderr)
    })
  }
}
