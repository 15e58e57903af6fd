import { DOCKERD_CASES } from './dockerd-cases.js'
import { testDockerd } from './dockerd-stage.js'

testDockerd('dockerd', { cases: DOCKERD_CASES, drivers: ['btrfs'] })
