import type { DriverVerdict } from '../../core/api/store.js'
import { VarveError } from '../../core/errors.js'
import { type Context, defineCommand } from '../args/command.js'
import { oneOf } from '../args/options.js'
import { table } from '../print/table.js'

export const command = defineCommand({
  positionals: {
    action: { ...oneOf('driver command', ['ls']), demandOption: true, describe: 'ls lists the backends' },
  },
  options: {},
  examples: [
    { line: 'driver ls', does: 'Each backend with its priority, its verdict and the reason' },
    { line: 'driver ls --root /srv/varve', does: 'Their verdicts on that file system' },
  ],
  async run(_, context) {
    const { output } = context
    const drivers = await driversOf(context)
    if (output.quiet) for (const driver of drivers) await output.line(driver.name)
    else if (output.json) {
      for (const driver of drivers) await output.value({ ...driver, facts: Object.fromEntries(driver.facts) })
    } else {
      const rows = drivers.map((driver) => [
        driver.selected ? '*' : '',
        driver.name,
        String(driver.priority),
        driver.verdict,
        driver.hasState ? 'yes' : 'no',
        driver.reason || '-',
      ])
      await output.write(table(COLUMNS, rows))
    }
    return undefined
  },
})

const COLUMNS = [
  { title: '' },
  { title: 'DRIVER' },
  { title: 'PRIORITY', align: 'right' },
  { title: 'VERDICT' },
  { title: 'LAYERS HERE' },
  { title: 'REASON' },
] as const

/**
 * Listing the backends must not create a data root. A root that can't be opened is probed all the same: the error becomes a
 * warning, and no backend is selected.
 */
async function driversOf({ global, store, warn }: Context): Promise<readonly DriverVerdict[]> {
  const [{ isRoot, probeDrivers }, { refuseForeignState }, { drivers }] = await Promise.all([
    import('../../core/root/probe.js'),
    import('../../core/root/select.js'),
    import('../../drivers/all.js'),
  ])
  try {
    if (isRoot(global.root)) return await (await store()).drivers()
    refuseForeignState({ root: global.root, drivers, prior: undefined }, undefined)
  } catch (error) {
    if (!(error instanceof VarveError) || error.code === 'INVALID_ARGUMENT') throw error
    warn(error.message)
    const verdicts = await probeDrivers({ ...global, drivers })
    return verdicts.map((verdict) => ({ ...verdict, selected: false }))
  }
  return probeDrivers({ ...global, drivers })
}
