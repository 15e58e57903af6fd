/** For stalled-send.test.ts: ends while the kernel is sending, as a second signal ends the command. */
import { read } from 'node:fs'
import { promisify } from 'node:util'
import { closeAtExit, pipe } from '../../../../core/sys/pipe.js'
import { runInWorker } from '../../../../core/threads/worker.js'
import { subvolumeInfo } from '../../../../drivers/btrfs/ioctls.js'
import { nativeChanges } from '../../../../drivers/btrfs/native.js'

const [old = '', now = '', when = ''] = process.argv.slice(2)
if (when === 'stalled') {
  const ends = pipe()
  closeAtExit(ends.read)
  const script = new URL('../../../../drivers/btrfs/send-worker.js', import.meta.url)
  void runInWorker(script, { path: now, parent: subvolumeInfo(old).id, into: ends.write })
  // The rest of the stream is more than the pipe holds.
  await promisify(read)(ends.read, Buffer.alloc(1), 0, 1, null)
  process.exit(130)
}
setTimeout(() => process.exit(130), Number(when))
await nativeChanges(old, now)
process.exit(130)
