/** Makes, activates, deactivates and removes a layer, killed before the call that its job names. */
import { writeSync } from 'node:fs'
import { openDatabase } from '../../core/db/database.js'
import { parseLayerId } from '../../core/ids.js'
import { arm } from '../../core/sys/seam.js'
import { type DriverJob, loadModule, readJob } from './child.js'

export interface MakerJob extends DriverJob {
  readonly home: string
  /** The file of the database with the driver's state. */
  readonly database: string
  /** A sealed layer. */
  readonly base: string
  /** Number of the changing call (core/sys/seam.ts). */
  readonly call: number
}

const { home, database, call, ...job } = readJob<MakerJob>()
const [base, child] = [parseLayerId(job.base), parseLayerId('child')]
const module = await loadModule(job)
const driver = await module.open({
  home,
  options: new Map(Object.entries(job.options)),
  parentOf: (id) => (id === child ? base : undefined),
  state: openDatabase(database).driverState,
  warn() {},
})
const done = (what: string) => writeSync(1, `${what}\n`)
arm(`kill:call:${call}`)
await driver.create(child, { parent: base, writable: true })
done('created')
await driver.get(child, { readonly: false })
done('got')
await driver.put(child)
done('put')
await driver.get(child, { readonly: false })
done('got again')
await driver.remove(child)
done('removed')
