/**
 * The suite as a command, on any host that has Node: `node dist/test/conformance/main.js --driver overlay --root DIR`. It
 * needs only the compiled folder and varve's runtime packages. Standard output gets a line of JSON for each case, standard
 * error text for people. Exit status: 0 all passed or were impossible, 1 something failed, 2 the driver can't be used here.
 * The first Ctrl-C waits for the running case, which cleans up after itself; the second does not wait.
 */
import { mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import type { DriverModule } from '../../core/driver.js'
import { drivers } from '../../drivers/all.js'
import { loadModule } from './child.js'
import { type Cell, type Outcome, runSuite, SCRIPTS, selectCases } from './suite.js'

const HELP = `usage: node main.js --driver NAME --root DIR [OPTION]…

Tries a backend on the file system of DIR, and removes all that it creates there. Needs root.

  --driver NAME    ${drivers.map(({ name }) => name).join(', ')}
  --root DIR       an existing directory
  --module FILE    a compiled file that exports the driver NAME, for one that is not among these
  --opt KEY=VALUE  an option of the driver; repeatable
  --only TEXT      only cases with this in their group or title; repeatable
  --seed NUMBER    repeats the random cases of a run
  --scripts N      number of random edit scripts (default ${SCRIPTS})
  --timeout S      seconds that one case may take (default 900)
  --name TEXT      the cell's name in the results (default: NAME on DIR)
  --list           only list the cases
  --help           show this help
`

const OURS = new URL('../../drivers/all.js', import.meta.url)

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const given = await readArguments(args)
  if (typeof given === 'string') {
    if (given === '') process.stdout.write(HELP)
    else process.stderr.write(`${given}\n\n${HELP}`)
    return given === '' ? 0 : 2
  }
  const { cell, only, seed, scripts, timeout, list } = given
  if (list) {
    for (const { group, title } of selectCases(only)) process.stdout.write(`${group}: ${title}\n`)
    return 0
  }
  if (selectCases(only).length === 0) {
    process.stderr.write(`no case has ${only.join(' or ')} in its title; --list shows the titles\n`)
    return 2
  }
  const refusal = await whyNot(cell)
  if (refusal !== undefined) {
    process.stderr.write(`${cell.name}: ${refusal}\n`)
    return 2
  }
  const counts = { passed: 0, failed: 0, impossible: 0 }
  const interrupt = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const started = (found: { readonly group: string; readonly title: string }) => {
    clearTimeout(timer)
    const late = `${found.group}: ${found.title}: not done after ${timeout} s`
    timer = setTimeout(() => {
      process.stderr.write(`${cell.name}: ${late}\n`)
      interrupt.abort('SIGTERM')
    }, timeout * 1000)
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${found.group}: ${found.title}`)
  }
  let stopped: NodeJS.Signals | undefined
  const stop = (name: NodeJS.Signals): void => {
    if (stopped !== undefined) interrupt.abort(name)
    stopped = name
    process.stderr.write(
      `\n${cell.name}: interrupted; waiting for the running case (interrupt again to end now)\n`,
    )
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop)
  // EPIPE: the reader went away.
  process.stdout.on('error', () => {
    stopped ??= 'SIGTERM'
  })
  const { signal } = interrupt
  try {
    for await (const outcome of runSuite(cell, { only, seed, scripts, started, signal })) {
      counts[outcome.result]++
      process.stdout.write(`${JSON.stringify(outcome)}\n`)
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line(outcome)}\n`)
      if (stopped !== undefined) break
    }
  } catch (error) {
    if (!signal.aborted) throw error
    stopped = signal.reason as NodeJS.Signals
  }
  if (stopped !== undefined) {
    // Not `process.exit`: the case that was cut off may have threads that wait for each other.
    process.off('SIGINT', stop).off('SIGTERM', stop)
    process.kill(process.pid, stopped)
  }
  clearTimeout(timer)
  const { passed, failed, impossible } = counts
  process.stderr.write(
    `${cell.name}: ${passed} passed, ${failed} failed, ${impossible} impossible (seed ${seed})\n`,
  )
  return failed === 0 ? 0 : 1
}

interface Given {
  readonly cell: Cell
  readonly only: readonly string[]
  readonly seed: number
  readonly scripts: number
  readonly timeout: number
  readonly list: boolean
}

/** The arguments, or a message about what is wrong with them; '' asks for help. */
async function readArguments(args: string[]): Promise<Given | string> {
  try {
    const { values } = parseArgs({
      args,
      options: {
        driver: { type: 'string' },
        root: { type: 'string' },
        module: { type: 'string' },
        opt: { type: 'string', multiple: true, default: [] },
        only: { type: 'string', multiple: true, default: [] },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        scripts: { type: 'string', default: String(SCRIPTS) },
        timeout: { type: 'string', default: '900' },
        name: { type: 'string' },
        list: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return ''
    const name = values.driver ?? (values.list ? 'vfs' : undefined)
    if (name === undefined) return '--driver is missing'
    const source = values.module === undefined ? OURS : pathToFileURL(values.module)
    const module = await loadModule({ source: source.href, name })
    const root = values.root ?? (values.list ? '/' : undefined)
    if (root === undefined) return '--root is missing'
    const numbers = [values.seed, values.scripts, values.timeout].map(Number)
    const [seed = 0, scripts = 0, timeout = 0] = numbers
    if (numbers.some((number) => !Number.isInteger(number) || number < 0) || scripts < 1 || timeout < 1)
      return '--seed, --scripts and --timeout take whole numbers, the last two 1 or more'
    if (!statSync(root).isDirectory()) return `--root ${root}: not a directory`
    const options = values.opt.map((text) => text.split(/=(.*)/s, 2) as [string, string | undefined])
    const odd = options.find(([key, value]) => key === '' || value === undefined)
    if (odd !== undefined) return `--opt ${odd[0]}: want KEY=VALUE`
    const cell = {
      name: values.name ?? `${module.name} on ${root}`,
      module,
      options: Object.fromEntries(options.map(([key, value = '']) => [key, value])),
      root: realpathSync(root),
      source: source.href,
    }
    return { cell, only: values.only, seed, scripts, timeout, list: values.list }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Why the driver can't be used there, according to its own probe. */
async function whyNot({ module, root, options }: Cell): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'the suite mounts layers, which needs root'
  const odd = Object.keys(options).find((key) => !module.options.some((each) => each.key === key))
  if (odd !== undefined) return `${module.name} has no option ${odd}`
  const scratch = mkdtempSync(join(root, 'varve-probe-'))
  try {
    const { verdict, reason } = await probe(module, scratch, options)
    return verdict === 'supported' ? undefined : `${verdict}: ${reason}`
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

function probe(module: DriverModule, scratch: string, options: Cell['options']) {
  return module.probe({ scratch, options: new Map(Object.entries(options)) })
}

function line({ result, group, case: title, reason, ms }: Outcome): string {
  const mark = { passed: '✔', failed: '✖', impossible: '–' }[result]
  const why = reason === undefined ? '' : `: ${reason}`
  return `${mark} ${group}: ${title} (${ms} ms)${why}`
}
