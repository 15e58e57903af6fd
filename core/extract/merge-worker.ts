/** The thread of merge.ts. */

import { serve } from '../threads/worker.js'
import { type MergeJob, mergeSync } from './merge.js'

serve((job: MergeJob, { checkpoint }) => mergeSync(job, checkpoint))
