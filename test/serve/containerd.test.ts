/** Debian's containerd on us. */
import { CONTAINERD_CASES } from './containerd-cases.js'
import { testContainerd } from './containerd-stage.js'

testContainerd('containerd', { cases: CONTAINERD_CASES })
