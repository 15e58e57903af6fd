/** The thread of merge.ts. */
import { type MergeJob, mergeSync } from './merge.js'
import { serve } from './worker.js'

serve((job: MergeJob, checkpoint) => mergeSync(job, checkpoint))
