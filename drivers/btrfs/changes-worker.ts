/** Reads a send stream as the kernel writes it, then looks at what it names. */
import { constants } from 'node:fs'
import type { Change } from '../../core/driver.js'
import { close, open, read } from '../../core/sys/files.js'
import { serve } from '../../core/threads/worker.js'
import { confirm } from './send-changes.js'
import { createReplay } from './send-replay.js'
import { createSendParser } from './send-stream.js'

export interface ChangesJob {
  /** The pipe's end to read; stays the caller's. */
  readonly from: number
  /** Read-only subvolumes. */
  readonly old: string
  readonly now: string
}

serve(({ from, old, now }: ChangesJob, { checkpoint }): readonly Change[] => {
  const replay = createReplay()
  const parser = createSendParser(replay.command)
  const buffer = Buffer.allocUnsafeSlow(64 * 1024)
  for (;;) {
    const length = read(from, buffer, 0, buffer.length, null)
    if (length === 0) break
    checkpoint()
    parser.push(buffer.subarray(0, length))
  }
  parser.end()
  const before = open(old, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const after = open(now, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      return confirm(before, after, replay.candidates(), checkpoint)
    } finally {
      close(after)
    }
  } finally {
    close(before)
  }
})
