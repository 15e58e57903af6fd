import { testCell } from '../test-cell.js'

testCell({ driver: 'btrfs', kind: 'btrfs' })
