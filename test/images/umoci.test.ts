import { testRealImages } from './suite.js'

testRealImages('umoci')
