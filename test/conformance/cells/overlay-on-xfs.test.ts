import { testCell } from '../test-cell.js'

testCell({ driver: 'overlay', kind: 'xfs' })
