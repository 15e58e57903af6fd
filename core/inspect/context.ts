/** The context of the modules that look into layers. */
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { VarveError } from '../errors.js'
import type { Graph } from '../graph/types.js'
import { topOf } from '../images/images.js'
import type { Referent, Resolver } from '../images/resolve.js'
import type { Views } from '../mount/views.js'

export interface InspectContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly views: Views
  readonly resolver: Resolver
}

/** The top node of a target; undefined for an image without layers. */
export function nodeOf({ db, resolver }: InspectContext, reference: string): NodeRow | undefined {
  return topOf(db, resolver.target(reference))
}

/** The one layer of a target, or all of an image, the base first. */
export function nodesOf({ db }: Pick<InspectContext, 'db'>, target: Referent): readonly NodeId[] {
  return target.kind === 'image' ? db.images.layers(target.image.key) : [target.node.id]
}

/** A path as typed, relative to the root: no `.`, no empty component. @throws VarveError INVALID_ARGUMENT for `..` */
export function typedPath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) {
    throw new VarveError('INVALID_ARGUMENT', `path ${JSON.stringify(path)}: leave out the ".."`)
  }
  return parts.join('/')
}
