import { testCell } from '../test-cell.js'

testCell({ driver: 'vfs', kind: 'xfs' })
