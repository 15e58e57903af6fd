import { testCell } from '../test-cell.js'

testCell({ driver: 'vfs', kind: 'ext4' })
