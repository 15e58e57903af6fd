/** An interrupted or killed test run leaves nothing, and the files of a living run are never touched. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Claim, cleanUpDeadRuns, openClaim } from './claim.js'

const RUN = fileURLToPath(new URL('../run.js', import.meta.url))
const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

interface Run {
  /** The directory that it works in. */
  readonly directory: string
  end(signal: NodeJS.Signals): Promise<number | string>
}

/** Starts a run of one file, and waits until it has its directory. */
async function startRun(): Promise<Run> {
  const before = places()
  // With node:test's own variable it would count as a part of this test, and run nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, [RUN, 'cli/rootless'], { stdio: ['ignore', 'pipe', 'ignore'], env })
  const ended = new Promise<number | string>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')),
  )
  let said = ''
  for await (const text of child.stdout.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    said += String(text)
    if (said.includes('the tests work on')) break
  }
  child.stdout.resume()
  const [directory = ''] = places().filter((name) => !before.includes(name))
  assert.notEqual(directory, '', said)
  return {
    directory: join(tmpdir(), directory),
    end(signal) {
      child.kill(signal)
      return ended
    },
  }
}

/** The directories of runs inside this run's own. */
function places(): readonly string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('vt-'))
}

function isThere({ directory }: { readonly directory: string }): readonly string[] {
  const token = directory.slice(-8)
  const file = join(MEMORY, `varve-run-${token}.img`)
  const loops = readdirSync('/sys/block')
    .map((name) => `/sys/block/${name}/loop/backing_file`)
    .filter((path) => existsSync(path) && readFileSync(path, 'utf8').includes(token))
  const mounts = readFileSync('/proc/self/mounts', 'utf8').includes(directory) ? ['its mounts'] : []
  return [...[directory, file].filter((path) => existsSync(path)), ...loops, ...mounts]
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} ends a run and takes down what it made`, async () => {
    const run = await startRun()
    assert.equal(await run.end(signal), 128 + constants.signals[signal])
    assert.deepEqual(isThere(run), [])
  })
}

test('the next run takes down what a killed one left, and nothing of a living one', async () => {
  const living: Claim = openClaim()
  try {
    const run = await startRun()
    assert.equal(await run.end('SIGKILL'), 'SIGKILL')
    assert.notDeepEqual(isThere(run), [])
    assert.ok(cleanUpDeadRuns().some((line) => line.includes(run.directory)))
    assert.deepEqual(isThere(run), [])
    assert.ok(statSync(living.file).isFile())
  } finally {
    living.release()
  }
  assert.ok(!existsSync(living.file))
})
