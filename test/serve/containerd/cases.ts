/** A real containerd's images and containers on varve, and what an admin sees of them. At the end nothing is left. */
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
