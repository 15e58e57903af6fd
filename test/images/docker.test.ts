import { testRealImages } from './suite.js'

testRealImages('docker')
