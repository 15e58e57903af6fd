import { dirname } from 'node:path'
import { fromText } from '../../core/bytes.js'
import type { DriverVerdict } from '../../core/model.js'
import { type Context, defineCommand, type GlobalOptions } from '../command.js'
import { oneOf } from '../options.js'
import { table } from '../table.js'

export const command = defineCommand({
  positionals: {
    action: { ...oneOf('driver command', ['ls']), demandOption: true, describe: 'ls lists the backends' },
  },
  options: {},
  examples: [
    { line: 'driver ls', does: 'Each backend, its place in the order of choice, its verdict and why' },
    { line: 'driver ls --root /srv/varve', does: 'What they say to that file system' },
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

/** A question makes no data root: where there is none yet, the drivers look at the folder that would hold it. */
async function driversOf({ global, store }: Context): Promise<readonly DriverVerdict[]> {
  const { lstatOrUndefined } = await import('../../core/sys/stat.js')
  if (lstatOrUndefined(fromText(`${global.root}/varve.db`))) return (await store()).drivers()
  return verdictsAbove(global)
}

async function verdictsAbove(global: GlobalOptions): Promise<readonly DriverVerdict[]> {
  const [{ moduleNamed, verdicts }, { drivers }, { mkdir, removeTree }, { lstatOrUndefined }] =
    await Promise.all([
      import('../../core/select.js'),
      import('../../drivers/all.js'),
      import('../../core/sys/files.js'),
      import('../../core/sys/stat.js'),
    ])
  let folder = global.root
  while (!lstatOrUndefined(fromText(folder))) folder = dirname(folder)
  const scratch = fromText(`${folder === '/' ? '' : folder}/.varve-probe-${process.pid}`)
  let made = false
  const options = {
    root: global.root,
    drivers,
    storageOptions: global.storageOptions,
    prior: undefined,
    scratch() {
      if (!made) mkdir(scratch, 0o700)
      made = true
      return scratch
    },
  }
  const asked = global.driver === undefined ? undefined : moduleNamed(drivers, global.driver).name
  try {
    return await verdicts(options, asked)
  } finally {
    if (made) removeTree(scratch)
  }
}
