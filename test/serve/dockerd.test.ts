/** Debian's dockerd on our storage. */
import { DOCKERD_CASES, testDockerd } from './dockerd-cases.js'

testDockerd('dockerd', { cases: DOCKERD_CASES })
