/**
 * kill -9 to the service at a random system call while containerd imports, runs and commits. The restarted service has all
 * that it promised and nothing else, and containerd goes on. `VARVE_ROUNDS=20` for more rounds.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { createRandom } from '../../../conformance/random.js'
import { SEED } from '../../../support/seed.js'
import { SERVE_CELLS, whyNoEngine } from '../../cells.js'
import { callsOf } from '../../count-calls.js'
import { ROUNDS } from '../../rounds.js'
import type { Serving } from '../../serving.js'
import { until } from '../../until.js'
import { CONTAINERD_COMMANDS, foundBy } from '../engine.js'
import { isStatus, UNAVAILABLE, withClient } from '../snapshot-client.js'
import { clear, sameTrees, settle, type Trees, treesOf } from './truth.js'
import { committed, isKnown, STEPS } from './work.js'
import { type KilledWorld, lookAtKept, withKept } from './world.js'

describe('the service is killed under containerd', { concurrency: true }, () => {
  for (const cell of SERVE_CELLS) {
    test(`on ${cell.driver}`, { skip: whyNoEngine(cell, CONTAINERD_COMMANDS) }, async (t) => {
      const random = createRandom(SEED)
      await withKept(cell, async (world) => {
        const { calls, trees } = await undisturbed(world)
        let isBroken = false
        const inOrder = (title: string, work: (sub: TestContext) => Promise<void>) =>
          t.test(title, async (sub) => {
            isBroken = true // until it passes: later rounds build on it
            await work(sub)
            isBroken = false
          })
        await inOrder('right after a commit whose answer was lost', () => killedAfterCommit(world))
        for (let round = 0; round < ROUNDS && !isBroken; round++) {
          const call = 1 + random.below(calls)
          await inOrder(`round ${round}: at changing call ${call} of ${calls}`, async (sub) => {
            sub.diagnostic(await killedAt(world, call, trees))
          })
        }
      })
    })
  }
})

/** The number of changing calls that the service makes in a round, and the trees that result, without a kill. */
async function undisturbed(world: KilledWorld): Promise<{ readonly calls: number; readonly trees: Trees }> {
  let trees: Trees = []
  const calls = await callsOf(world, join(world.place, 'calls'), async () => {
    await foundBy(world.containerd)
    for (const step of STEPS) await step.run(world)
    trees = await treesOf(world, STEPS)
    await clear(world)
  })
  await foundBy(world.containerd)
  return { calls, trees }
}

/** Kills the service at that call; returns a description of what happened. */
async function killedAt(world: KilledWorld, call: number, trees: Trees): Promise<string> {
  await world.service().end('SIGTERM')
  const { when, done, log } = await worksUntilKilled(world, call)
  const service = await world.startService()
  try {
    await foundBy(world.containerd)
    await lookAtKept(world)
    await settle(world)
    assert.deepEqual(await world.varve.json('check', '--data'), [])
    sameTrees(await treesOf(world, STEPS.slice(0, done)), trees)
    for (const step of STEPS) await step.run(world)
    sameTrees(await treesOf(world, STEPS), trees)
    await clear(world)
  } catch (error) {
    throw new Error(`the killed one: ${log.slice(-3000)}\nthe next: ${service.log().slice(-5000)}`, {
      cause: error,
    })
  }
  return when
}

/**
 * containerd commits within a transaction of its own, which it then rolls back: it still knows the key, but not the name. It
 * must be able to find out that the commit was done, and to do the work again.
 */
async function killedAfterCommit(world: KilledWorld): Promise<void> {
  await world.service().end('SIGTERM')
  const doomed = await world.startService({ VARVE_FAULT: 'kill:commit:ready:after' })
  await foundBy(world.containerd)
  const one = { key: 'one', parent: '' }
  await assert.rejects(committed(world, one), (error) => isStatus(error) && error.code === UNAVAILABLE)
  assert.equal(await doomed.ended, 'SIGKILL')
  const service = await world.startService()
  await foundBy(world.containerd)
  const infos = await withClient(service.socket, {}, ({ list }) => list(['name~=/one/']))
  assert.deepEqual(
    infos.map(({ name, kind }) => [name.split('/').at(-1), kind]),
    [['one-done', 'COMMITTED']],
  )
  assert.equal(await isKnown(world, 'one-done'), false)
  await committed(world, one)
  assert.equal(await isKnown(world, 'one-done'), true)
  await clear(world)
}

interface Killed {
  /** A description. */
  readonly when: string
  /** The number of completed steps. */
  readonly done: number
  readonly log: string
}

/** Starts the service, and runs the steps until it is killed. */
async function worksUntilKilled(world: KilledWorld, call: number): Promise<Killed> {
  let doomed: Serving
  try {
    doomed = await world.startService({ VARVE_FAULT: `kill:call:${call}` })
  } catch (error) {
    assert.match(String(error), /: SIGKILL\n/)
    return { when: 'killed as it started', done: 0, log: String(error) }
  }
  let isGone = false
  void doomed.ended.then(() => {
    isGone = true
  })
  await until('containerd has found the service', async () => {
    if (!isGone) await world.containerd.ctr('snapshots', 'usage')
  })
  let done = 0
  const failed = await (async () => {
    for (const step of STEPS) {
      await step.run(world)
      done += 1
    }
  })().catch((error: unknown) => error)
  if (failed !== undefined) {
    await until(`the service is gone, as a step failed: ${failed}\n${doomed.log()}`, async () => {
      if (!isGone) throw failed
    })
  }
  assert.equal(await doomed.end('SIGKILL'), 'SIGKILL', `${failed}\n${doomed.log()}`)
  const at = STEPS[done]?.name
  return { when: at === undefined ? 'killed at rest' : `killed in ${at}`, done, log: doomed.log() }
}
