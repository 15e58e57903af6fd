/** What people do with dockerd, and what an admin sees meanwhile. At the end nothing is left. */
import { BUILDS } from './builds.js'
import { CONTAINERS } from './containers.js'
import { COPIES } from './copies.js'
import { IMAGES } from './images.js'
import { RESTARTS } from './restarts.js'
import type { Cases } from './stage.js'

export const DOCKERD_CASES: Cases = { ...IMAGES, ...CONTAINERS, ...COPIES, ...BUILDS, ...RESTARTS }
