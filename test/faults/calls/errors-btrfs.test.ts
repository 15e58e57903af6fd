import { testErrors } from './errors.js'

testErrors('btrfs')
