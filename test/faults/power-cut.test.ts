/**
 * The power goes while snapshots are made, committed and removed and layers imported, before and after every step: the
 * process is killed, and then the disk has nothing but what it was asked to keep. What was reported is so afterwards, and
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
