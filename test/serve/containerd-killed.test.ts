/**
 * kill -9 to the service at a random system call, while containerd imports, runs and commits: started again, it has all that
 * it promised and nothing else, and containerd goes on. Three rounds a backend; `VARVE_ROUNDS=20` for more.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { FIXTURES, missingFor } from '../../fixtures/images.js'
import { createRandom } from '../conformance/random.js'
import { differences, type Snapshot, snapshot } from '../oracle.js'
import { SEED } from '../seed.js'
import { type Varve, varveAt } from '../varve.js'
import { SERVE_CELLS } from './cells.js'
import { CONTAINERD_COMMANDS, type Containerd, until, withContainerd } from './containerd-engine.js'
import { mounted } from './mounted.js'
import { type ServeOptions, type Serving, startServing } from './serving.js'
import { type Mount, openClient } from './snapshot-client.js'

const ROUNDS = Number(process.env.VARVE_ROUNDS ?? 3)
const IMAGES = ['varve.test/rich:1', 'varve.test/sibling:2'] as const
/** Changing calls of a round; on vfs a layer is copied, which takes thousands. */
const CALLS: Readonly<Record<string, number>> = { overlay: 250, btrfs: 120, vfs: 40_000 }

const docker = FIXTURES.find(({ name }) => name === 'docker')
const missing = missingCommands(CONTAINERD_COMMANDS)

for (const { driver, skip, within } of SERVE_CELLS) {
  const why =
    skip || (missing.length > 0 ? `needs ${missing.join(', ')}` : docker && missingFor(docker)) || false
  test(`the service is killed on ${driver}`, { skip: why }, async (t) => {
    const archive = (await docker?.make())?.find(({ name }) => name === 'docker-several')?.path ?? ''
    const random = createRandom(SEED)
    await within(async (place) => {
      const varve = varveAt(join(place, 'root'), driver)
      const options: ServeOptions = { root: varve.root, driver, socket: join(place, 'varve.sock') }
      mkdirSync(join(place, 'c'))
      await withContainerd({ place: join(place, 'c'), snapshotter: options.socket }, async (containerd) => {
        const bench: Bench = { varve, containerd, place, archive, options }
        const reference = await undisturbed(bench)
        for (let round = 0; round < ROUNDS; round++) {
          const call = 1 + random.below(CALLS[driver] ?? 1)
          await t.test(`round ${round}: at changing call ${call}`, async (sub) => {
            sub.diagnostic(await killedAt(bench, call, reference))
          })
        }
      })
    })
  })
}

interface Bench {
  readonly varve: Varve
  readonly containerd: Containerd
  readonly place: string
  readonly archive: string
  readonly options: ServeOptions
}

/** The trees of a round that nothing happens to. */
async function undisturbed(bench: Bench): Promise<readonly Snapshot[]> {
  const service = await startServing('containerd', bench.options)
  await work(bench, 'first')
  const trees = await treesOf(bench)
  await removeAll(bench)
  await service.end('SIGKILL')
  return trees
}

/** When it was killed, in words. */
async function killedAt(bench: Bench, call: number, reference: readonly Snapshot[]): Promise<string> {
  const { varve, options } = bench
  const { when, log } = await workKilledAt(bench, call)
  const service = await startServing('containerd', options)
  try {
    let tries = 0
    await until('containerd goes on', () => work(bench, `again ${tries++}`))
    const trees = await treesOf(bench)
    for (const [i, tree] of trees.entries()) {
      assert.deepEqual(differences(reference[i] ?? new Map(), tree), [], `of ${IMAGES[i]}`)
    }
    assert.deepEqual(await varve.json('check'), [])
    await removeAll(bench)
    assert.deepEqual(await varve.json('check', '--data'), [])
    return when
  } catch (error) {
    throw new Error(`the killed service: ${log.slice(-2000)}\nthe next: ${service.log().slice(-4000)}`, {
      cause: error,
    })
  } finally {
    await service.end('SIGKILL')
  }
}

/** Starts the service and works until it is gone. */
async function workKilledAt(
  bench: Bench,
  call: number,
): Promise<{ readonly when: string; readonly log: string }> {
  const env = { VARVE_FAULT: `kill:call:${call}` }
  let doomed: Serving
  try {
    doomed = await startServing('containerd', { ...bench.options, env })
  } catch (error) {
    // It had something to clean up after the last round.
    assert.match(String(error), /: SIGKILL\n/)
    return { when: 'killed as it started', log: String(error) }
  }
  const failed = await work(bench, 'killed').then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.equal(await doomed.end('SIGKILL'), 'SIGKILL', `${failed}\n${doomed.log()}`)
  const when = failed === undefined ? 'killed at rest: the round needed fewer calls' : 'killed at work'
  return { when, log: doomed.log() }
}

/** What an engine does: two images, a container of each, and a snapshot written by hand. */
async function work({ containerd: { ctr }, archive, place, containerd }: Bench, key: string): Promise<void> {
  await ctr('images', 'import', archive)
  for (const image of IMAGES)
    await ctr('run', '--rm', image, `run ${key}`.replaceAll(' ', '-'), '/bin/sh', '-c', 'rm -r /etc')
  const client = await openClient(containerd.socket, { namespace: 'default' })
  try {
    const labels = { 'containerd.io/gc.root': 'now' }
    const { mounts } = await client.call<{ mounts: readonly Mount[] }>('Prepare', { key, labels })
    mounted(place, mounts, (path) => writeFileSync(join(path, 'file'), key))
    await client.call('Commit', { key, name: `${key} done`, labels })
  } finally {
    client.close()
  }
}

/** Of both images, but for what an unpacker leaves to chance: when directories were changed. */
async function treesOf({ containerd, place }: Bench): Promise<readonly Snapshot[]> {
  const client = await openClient(containerd.socket, { namespace: 'default' })
  try {
    const all = await client.list(['name~=/^sha256/,kind==committed'])
    const tops = all.filter(({ name }) => !all.some(({ parent }) => parent === name))
    assert.equal(tops.length, IMAGES.length)
    const trees: Snapshot[] = []
    for (const { name } of tops) {
      const labels = { 'containerd.io/gc.root': 'now' }
      const request = { key: 'look', parent: name, labels }
      const { mounts } = await client.call<{ mounts: readonly Mount[] }>('View', request)
      trees.push(mounted(place, mounts, timelessTree))
      await client.call('Remove', { key: 'look' })
    }
    return trees
  } finally {
    client.close()
  }
}

function timelessTree(path: string): Snapshot {
  const tree = snapshot(path)
  return new Map(
    [...tree].map(([name, line]) => [
      name,
      line.startsWith('directory') ? line.replace(/mtime=\d+/, '') : line,
    ]),
  )
}

/** Whatever containerd knows, until the store is empty: what it does not know goes with that. */
async function removeAll({ containerd: { ctr, socket }, varve }: Bench): Promise<void> {
  const containers = (await ctr('containers', 'ls', '-q')).split('\n').filter(Boolean)
  for (const id of containers) await ctr('containers', 'rm', id)
  const client = await openClient(socket, { namespace: 'default' })
  try {
    const own = (await client.list()).filter(({ name }) => !name.startsWith('sha256:'))
    for (const { name } of own) await client.call('Remove', { key: name })
  } finally {
    client.close()
  }
  await ctr('images', 'rm', '--sync', ...IMAGES)
  await until('nothing is left', async () => assert.deepEqual(await varve.json('layers'), []))
}
