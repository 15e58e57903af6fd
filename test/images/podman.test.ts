import { testRealImages } from './suite.js'

testRealImages('podman')
