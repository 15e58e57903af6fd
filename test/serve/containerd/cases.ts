/** What a real containerd does on us to images and containers, and what an admin sees of it; at the end nothing is left. */
import { BUILDS } from './builds.js'
import { COLLECTION } from './collection.js'
import { CONTAINERS } from './containers.js'
import { IMAGES } from './images.js'
import { PULLS } from './pulls.js'
import { RESTARTS } from './restarts.js'
import { SNAPSHOTS } from './snapshots.js'
import type { Cases } from './stage.js'

export const CONTAINERD_CASES: Cases = {
  ...IMAGES,
  ...CONTAINERS,
  ...BUILDS,
  ...SNAPSHOTS,
  ...RESTARTS,
  ...PULLS,
  ...COLLECTION,
}
