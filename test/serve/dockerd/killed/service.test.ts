/**
 * kill -9 to the service at a random system call while dockerd loads, runs, commits and builds. The service is restarted at
 * once. dockerd goes on, by itself or at the second try; no layer is lost, and at the end none is left.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createRandom } from '../../../conformance/random.js'
import { SEED } from '../../../support/seed.js'
import { SERVE_CELLS, whyNoEngine } from '../../cells.js'
import { callsOf } from '../../count-calls.js'
import type { Running } from '../../engine-world.js'
import { ROUNDS } from '../../rounds.js'
import { DOCKERD_COMMANDS } from '../engine.js'
import { PHASES } from './work.js'
import { clear, type KilledWorld, lookAtKept, undisturbed, withKept } from './world.js'

describe('the service is killed under dockerd', { concurrency: true }, () => {
  for (const cell of SERVE_CELLS) {
    test(`on ${cell.driver}`, { skip: whyNoEngine(cell, DOCKERD_COMMANDS) }, async (t) => {
      const random = createRandom(SEED)
      await withKept(cell, async (world) => {
        const calls = await undisturbed(world, (run) => callsOf(world.docker, join(world.work, 'calls'), run))
        let isBroken = false
        for (let round = 0; round < ROUNDS && !isBroken; round++) {
          const at = (SEED + round) % PHASES.length
          const call = 1 + random.below(calls[at] ?? 1)
          const where = `in ${PHASES[at]?.name}, at changing call ${call} of ${calls[at]}`
          await t.test(`round ${round}: ${where}`, async (sub) => {
            isBroken = true // until it passes: later rounds build on it
            sub.diagnostic(await killedAt(world, { at, call }))
            isBroken = false
          })
        }
      })
    })
  }
})

interface Moment {
  /** Index of the phase. */
  readonly at: number
  readonly call: number
}

/** Kills the service at that call; returns a description of what happened. */
async function killedAt(world: KilledWorld, { at, call }: Moment): Promise<string> {
  const { docker, archive } = world
  for (const phase of PHASES.slice(0, at)) await phase.run(docker, archive)
  await docker.service().end('SIGTERM')
  const { when, isDone } = await workKilledAt(world, { at, call })
  await lookAtKept(world)
  for (const [i, phase] of PHASES.entries()) {
    if (i > at || (i === at && !isDone)) await phase.run(docker, archive)
    await phase.look(docker)
  }
  const forgotten = await clear(world)
  return `killed ${when}; forgotten: ${forgotten.length === 0 ? 'nothing' : forgotten}`
}

/** Runs a phase on a service that is killed meanwhile, and starts the next service at once. */
async function workKilledAt(
  { docker, archive }: KilledWorld,
  { at, call }: Moment,
): Promise<{ readonly when: string; readonly isDone: boolean }> {
  const doomed = await docker
    .startService({ VARVE_FAULT: `kill:call:${call}` })
    .catch((error: unknown) => assert.match(String(error), /varve has ended: SIGKILL/))
  if (doomed === undefined) {
    await docker.startService()
    return { when: 'as it started', isDone: false }
  }
  const working = (PHASES[at]?.run(docker, archive) ?? Promise.resolve()).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  const isKilled = await Promise.race([
    doomed.ended.then(() => true),
    working.then((failure) => failure !== undefined && endsOr(doomed, failure.error)),
  ])
  if (!isKilled) await doomed.end('SIGKILL')
  await docker.startService()
  const isDone = (await working) === undefined
  if (!isKilled) return { when: 'at rest: it took fewer calls', isDone }
  return { when: `at work; dockerd ${isDone ? 'went on by itself' : 'had to be asked again'}`, isDone }
}

/** A failure is due to the kill only if the service ends; dockerd may notice that first. @throws `failure` if it lives on */
async function endsOr({ ended }: Running, failure: unknown): Promise<true> {
  const livesOn = wait(60_000, true, { ref: false })
  if (await Promise.race([ended.then(() => false), livesOn])) throw failure
  return true
}
