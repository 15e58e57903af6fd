import { testRealImages } from './suite.js'

testRealImages('skopeo')
