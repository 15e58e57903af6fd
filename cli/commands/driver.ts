import { type DriverVerdict, driverVerdicts } from '../../core/store.js'
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
    const drivers = await verdictsFor(context)
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

/** Listing the drivers must not create a data root. */
async function verdictsFor({ global, warn }: Context): Promise<readonly DriverVerdict[]> {
  const { drivers } = await import('../../drivers/all.js')
  return driverVerdicts({ ...global, drivers, warn })
}
