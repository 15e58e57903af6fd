/** The thread of compareInThread. */
import type { Change } from '../driver.js'
import { serve } from '../threads/worker.js'
import { type CompareJob, compareTrees } from './compare.js'

serve(({ old, now, options }: CompareJob, { checkpoint }): Change[] => {
  const changes: Change[] = []
  for (const change of compareTrees(old, now, { ...options, checkpoint })) changes.push(change)
  return changes
})
