/**
 * Runs one operation on an existing store, and is killed at its Nth changing call: kill-child.js DIRECTORY DRIVER OPERATION
 * N
 */
import { join } from 'node:path'
import { openStore } from '../../../core/store.js'
import { arm } from '../../../core/sys/seam.js'
import { drivers } from '../../../drivers/all.js'
import { OPERATIONS } from './operations.js'

const [, , directory = '', driver = '', name = '', call = ''] = process.argv
const operation = OPERATIONS.find((each) => each.name === name)
if (operation === undefined) throw new Error(`no operation ${name}`)
const store = await openStore({ root: join(directory, 'root'), drivers, driver })
arm(`kill:call:${call}`)
await operation.run({ store, work: join(directory, 'work') })
arm(undefined)
await store.close()
