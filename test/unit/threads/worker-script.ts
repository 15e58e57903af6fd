/** The thread of worker.test.ts: reports its id. */
import { threadId } from 'node:worker_threads'
import { VarveError } from '../../../core/errors.js'
import { serve } from '../../../core/threads/worker.js'

export interface ThreadTask {
  readonly fail?: boolean
  /** One Int32 to wait for; then the checkpoint is passed. */
  readonly wait?: SharedArrayBuffer
  /** Number of messages to post before the result. */
  readonly posts?: number
}

serve<ThreadTask, number, number>(({ fail, wait, posts = 0 }, { checkpoint, post }) => {
  for (let i = 0; i < posts; i++) post(i)
  if (wait !== undefined) {
    Atomics.wait(new Int32Array(wait), 0, 0)
    checkpoint()
  }
  if (fail) throw new VarveError('CORRUPT', 'as it was told')
  return threadId
})
