/** The thread of copyTree. */
import { copyTreeSync } from './copy.js'
import { serve } from './worker.js'

serve(([from, to]: readonly [string, string], checkpoint) => copyTreeSync(from, to, checkpoint))
