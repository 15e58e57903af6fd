/** The thread of copyTree. */

import { serve } from '../threads/worker.js'
import { copyTreeSync } from './copy.js'

serve(([from, to]: readonly [string, string], { checkpoint }) => copyTreeSync(from, to, checkpoint))
