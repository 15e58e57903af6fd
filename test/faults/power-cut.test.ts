/**
 * The power goes while snapshots are made, committed and removed, before and after every step, and after imports: the process is killed, and
 * the kernel then forgets what of the file system is not on disk (FS_IOC_SHUTDOWN). What was reported is so afterwards, and
 * nothing is half-made.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { whyNoFileSystem } from '../file-system.js'

const ROUNDS = fileURLToPath(new URL('./power-cut-rounds.js', import.meta.url))

for (const kind of ['ext4', 'xfs'] as const) {
  test(`${kind}: a power cut takes nothing that was reported`, {
    skip: whyNoFileSystem(kind) ?? false,
  }, () => {
    const alone = ['--mount', '--propagation', 'private', process.execPath]
    const { status, stderr } = spawnSync('unshare', [...alone, ROUNDS, kind], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  })
}
