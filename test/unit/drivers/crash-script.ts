/** The process that crash.test.ts kills: creates and removes layers, and reports each when it is done. */

import { writeSync } from 'node:fs'
import { parseLayerId } from '../../../core/ids.js'
import { drivers } from '../../../drivers/all.js'
import { createDriverState } from '../../conformance/driver-state.js'

const [, , name = '', home = ''] = process.argv
const module = drivers.find((driver) => driver.name === name)
if (module === undefined) throw new Error(`no driver ${name}`)
const [base, child] = [parseLayerId('base'), parseLayerId('child')]
const driver = await module.open({
  home,
  options: new Map(),
  parentOf: (id) => (id === child ? base : undefined),
  state: createDriverState(),
  warn() {},
})
const done = (what: string) => writeSync(1, `${what}\n`)
await driver.create(base, { writable: true })
done('create base')
await driver.seal(base)
await driver.create(child, { parent: base, writable: true })
done('create child')
await driver.remove(child)
done('remove child')
await driver.remove(base)
done('remove base')
