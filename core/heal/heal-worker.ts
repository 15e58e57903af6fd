/** The thread of heal.ts. */
import { serve } from '../threads/worker.js'
import type { HealedTree, HealJob } from './heal.js'
import { healTreeSync } from './heal-tree.js'

serve((job: HealJob, { checkpoint }): HealedTree => healTreeSync(job, checkpoint))
