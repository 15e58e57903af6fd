/** The thread of pack-changes.ts. */
import { type ByteSink, openProducer } from '../threads/channel.js'
import { serve } from '../threads/worker.js'
import { compareTrees } from '../tree/compare.js'
import { type Packed, pack } from './pack.js'
import type { PackJob } from './pack-changes.js'

serve((job: PackJob, { checkpoint }): Packed => {
  const { view, changes } = job
  const out = openSink(job.sink)
  try {
    const list =
      'old' in changes ? compareTrees(changes.old, view, { ...changes.options, checkpoint }) : changes
    const packed = pack(view, list, { emit: out.write, checkpoint })
    out.end()
    return packed
  } catch (error) {
    out.fail()
    throw error
  }
})

/** Gathers small writes into the channel's slots. */
function openSink(sink: ByteSink) {
  const producer = openProducer(sink)
  let slot: Uint8Array | undefined
  let filled = 0
  return {
    write(bytes: Uint8Array): void {
      for (let done = 0; done < bytes.length; ) {
        slot ??= producer.acquire()
        const length = Math.min(slot.length - filled, bytes.length - done)
        slot.set(bytes.subarray(done, done + length), filled)
        filled += length
        done += length
        if (filled < slot.length) continue
        producer.commit(filled)
        slot = undefined
        filled = 0
      }
    },
    end(): void {
      if (slot !== undefined) producer.commit(filled)
      producer.end()
    },
    fail: producer.fail,
  }
}
