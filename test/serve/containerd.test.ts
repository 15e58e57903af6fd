/** Debian's containerd on us. */
import { testContainerd } from './containerd-cases.js'

testContainerd('containerd')
