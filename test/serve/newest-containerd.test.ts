/** The newest containerd that Debian has, on us: 1.7 of Debian 13. */
import { newestEngines } from '../../fixtures/newest.js'
import { testContainerd } from './containerd-cases.js'

testContainerd('containerd 1.7', newestEngines)
