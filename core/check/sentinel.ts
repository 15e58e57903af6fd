/** Was the root copied by a tool that loses parts of layers? */

import type { CheckOptions } from '../api/options.js'
import { nameOf } from '../graph/rules.js'
import { lostParts, makeSentinel } from '../root/sentinel.js'
import type { CheckContext, Problem } from './problem.js'

const GOOD_COPIES =
  "'rsync -aHAXS --numeric-ids', or 'tar --xattrs --xattrs-include=* --acls --sparse --numeric-owner'"

/** One problem at most: what a copy of the root lost. */
export function* checkSentinel(context: CheckContext, options: CheckOptions): Generator<Problem, void> {
  const { db, driver, root } = context
  const kept = db.meta.get('sentinel')
  if (kept === undefined) return
  const home = `${root}/${driver.name}`
  const lost = lostParts(home, kept)
  if (lost.length === 0) return
  const blind = db.nodes.ready().filter((row) => row.kind !== 'view' && db.layers.get(row.id) === undefined)
  const names = blind.slice(0, 5).map((row) => nameOf(db, row))
  if (blind.length > names.length) names.push(`${blind.length - names.length} more`)
  const unsure =
    names.length === 0
      ? ''
      : `; what was lost in layers that have no digest can't be told: ${names.join(', ')}`
  const problem: Problem = {
    check: 'root-copy',
    subject: driver.name,
    message: `the data root is a copy, made or restored without ${lost.join(', ')}: deleted files may show again, and layers differ from what they were${unsure}. Copy it again with ${GOOD_COPIES}, or heal its images' layers with 'varve repair --from SOURCE'`,
  }
  // Once every digest was found right, a person decides about the layers without one.
  if (options.data !== true || context.only !== undefined || db.damages.all().length > 0) {
    yield problem
    return
  }
  yield {
    ...problem,
    mend: {
      what:
        names.length === 0 ? 'take the root as it is' : `take the root as it is, with ${names.join(', ')}`,
      run() {
        db.meta.set('sentinel', makeSentinel(home))
        return true
      },
    },
  }
}
