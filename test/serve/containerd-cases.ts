/** What a real containerd does on us to images and containers, and what an admin sees of it; at the end nothing is left. */
import { BUILDS } from './containerd-builds.js'
import { COLLECTION } from './containerd-collection.js'
import { CONTAINERS } from './containerd-containers.js'
import { IMAGES } from './containerd-images.js'
import { PULLS } from './containerd-pulls.js'
import { RESTARTS } from './containerd-restarts.js'
import { SNAPSHOTS } from './containerd-snapshots.js'
import type { Cases } from './containerd-stage.js'

export const CONTAINERD_CASES: Cases = {
  ...IMAGES,
  ...CONTAINERS,
  ...BUILDS,
  ...SNAPSHOTS,
  ...RESTARTS,
  ...PULLS,
  ...COLLECTION,
}
