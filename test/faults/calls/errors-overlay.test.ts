import { testErrors } from './errors.js'

testErrors('overlay')
