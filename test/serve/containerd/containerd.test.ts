/** Debian's containerd on varve. */
import { CONTAINERD_CASES } from './cases.js'
import { testContainerd } from './stage.js'

testContainerd('containerd', { cases: CONTAINERD_CASES })
