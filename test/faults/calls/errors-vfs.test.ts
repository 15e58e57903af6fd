import { testErrors } from './errors.js'

testErrors('vfs')
