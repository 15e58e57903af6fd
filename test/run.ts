/**
 * The last step of `npm test`: makes the fixtures, runs every test file, prints what was skipped and why, and checks that
 * nothing is left behind. Arguments select files by a part of their path: `node dist/test/run.js unit/tar faults`.
 */
import { setMaxListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { run } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkoutDirectory } from '../fixtures/cache.js'
import { makeAll } from '../fixtures/images.js'
import { sized } from './faults/size.js'
import { suitesTable } from './faults/suites-table.js'
import { cleanUpDeadRuns } from './support/claim.js'
import { type Disk, openDisk } from './support/disk.js'
import { leftovers, rememberHost } from './support/leftovers.js'
import { signalAtParentsDeath } from './support/libc.js'
import { unlawfulSkip } from './support/must-run.js'
import { report } from './support/report.js'

/** The slow folders first, so that no core is idle in the last minutes. */
const FIRST = ['images', 'conformance', 'faults']
/** Files with this word run only if a filter has it too: Debian 13's engines are a download of 90 MB. */
const BY_NAME = 'newest'
const COMPILED = dirname(fileURLToPath(import.meta.url))
/** The time limit for a file. At full size a file of a sweep takes over an hour. */
const FILE_TIMEOUT_MS = sized(30, 300) * 60_000
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** A second signal within this time is the same one: timeout(1) sends it to the process, and to its group. */
const SAME_SIGNAL_MS = 1000

const status = await main(process.argv.slice(2))
process.exitCode = status
// Interrupted tests may hang forever, so the process exits once the last line is written.
if (status > 128) process.stdout.write('interrupted\n', () => process.exit(status))

async function main(filters: readonly string[]): Promise<number> {
  const root = checkoutDirectory()
  const files = testFiles(root, filters)
  if (files.length === 0) {
    console.log(`no test file matches ${filters.join(' ')}`)
    return 1
  }
  const interrupted = watchSignals()
  for (const line of cleanUpDeadRuns()) console.log(line)
  const disk = openDisk()
  try {
    const all = runAll(root, files, { disk, signal: interrupted.signal })
    return await Promise.race([all, interrupted.status])
  } finally {
    disk.close()
  }
}

interface Interrupted {
  /** Ends the running files. */
  readonly signal: AbortSignal
  /** Resolves to 128 plus the signal's number when a signal arrives. */
  readonly status: Promise<number>
}

/**
 * The first signal ends the run and removes what it made; the second ends that too. So does the end of the parent process.
 */
function watchSignals(): Interrupted {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal) // a listener for each test file
  const status = new Promise<number>((resolve) => {
    const take = (name: (typeof SIGNALS)[number]) => {
      if (controller.signal.aborted) return
      controller.abort()
      resolve(128 + constants.signals[name])
      const untake = () => {
        for (const each of SIGNALS) process.off(each, take)
      }
      setTimeout(untake, SAME_SIGNAL_MS).unref()
    }
    for (const name of SIGNALS) process.on(name, take)
  })
  if (process.env.npm_lifecycle_event !== undefined) signalAtParentsDeath(constants.signals.SIGTERM)
  return { signal: controller.signal, status }
}

interface RunOptions {
  readonly disk: Disk
  readonly signal: AbortSignal
}

async function runAll(root: string, files: string[], { disk, signal }: RunOptions): Promise<number> {
  const host = rememberHost(root)
  // All temporary directories of the tests and their child processes are in here; whatever is left in it has leaked.
  process.env.TMPDIR = disk.directory
  console.log(`the tests work on ${disk.kind}`)
  await makeAll((line) => console.log(line))
  const short = (file: string) => relative(COMPILED, file)
  const events = run({
    files,
    signal,
    // One more than there are cores, at most 4: a test waits a third of its time, for engines, disks and processes.
    concurrency: Math.min(4, availableParallelism() + 1),
    timeout: FILE_TIMEOUT_MS,
  })
  const result = await report(events, short)
  const skips = result.skipped
    .filter((skip) => unlawfulSkip(skip))
    .map(({ file, title, reason }) => `✖ must run here, but was skipped: ${file}: ${title} (${reason})`)
  const left = (await leftovers(host, disk.directory)).map((line) => `✖ left behind: ${line}`)
  const failures = [...result.failures, ...skips, ...left]
  const skipped = result.skipped.length - skips.length
  const suites = signal.aborted ? undefined : suitesTable(files.map(short), result.files)
  if (suites !== undefined) console.log(`\n${suites}`)
  console.log(`\n${result.passed} passed, ${failures.length} failed, ${skipped} skipped`)
  for (const failure of failures) console.log(failure)
  return failures.length === 0 ? 0 : 1
}

/** Compiled test files whose source still exists (dist may hold older ones), in the order to run them. */
function testFiles(root: string, filters: readonly string[]): string[] {
  const words = filters.length === 0 ? [''] : filters
  const found = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && words.some((word) => selects(word, name)))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  return found.map((name) => join(COMPILED, name.replace(/\.ts$/, '.js')))
}

function selects(word: string, name: string): boolean {
  return name.includes(word) && (word.includes(BY_NAME) || !name.includes(BY_NAME))
}

function rank(name: string): number {
  const place = FIRST.indexOf(name.split('/')[0] ?? '')
  return place === -1 ? FIRST.length : place
}
