import { DOCKERD_CASES } from './cases.js'
import { testDockerd } from './stage.js'

testDockerd('dockerd', { cases: DOCKERD_CASES, drivers: ['vfs'] })
