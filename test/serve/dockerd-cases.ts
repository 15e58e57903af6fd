/** All that people do with dockerd, while the admin looks in; at the end nothing is left. */
import { BUILDS } from './dockerd-builds.js'
import { CONTAINERS } from './dockerd-containers.js'
import { COPIES } from './dockerd-copies.js'
import { IMAGES } from './dockerd-images.js'
import { RESTARTS } from './dockerd-restarts.js'
import type { Cases } from './dockerd-stage.js'

export const DOCKERD_CASES: Cases = { ...IMAGES, ...CONTAINERS, ...COPIES, ...BUILDS, ...RESTARTS }
