/**
 * kill -9 to dockerd while it loads, runs, commits and builds, at a random piece of its traffic with the service. The next
 * dockerd goes on at once: it has all that the killed one had acknowledged, and `varve rm` removes what that began and
 * forgot.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRandom } from '../../../conformance/random.js'
import { SEED } from '../../../support/seed.js'
import { SERVE_CELLS, whyNoEngine } from '../../cells.js'
import { ROUNDS } from '../../rounds.js'
import { DOCKERD_COMMANDS } from '../engine.js'
import { PHASES, type Phase } from './work.js'
import { clear, type KilledWorld, lookAtKept, undisturbed, withKept } from './world.js'

describe('dockerd is killed', { concurrency: true }, () => {
  for (const cell of SERVE_CELLS) {
    test(`on ${cell.driver}`, { skip: whyNoEngine(cell, DOCKERD_COMMANDS) }, async (t) => {
      const random = createRandom(SEED)
      await withKept(cell, async (world) => {
        const { tap } = world
        const pieces = await undisturbed(world, async (run) => {
          const before = tap.passed()
          await run()
          return tap.passed() - before
        })
        let isBroken = false
        for (let round = 0; round < ROUNDS && !isBroken; round++) {
          const at = (SEED + round) % PHASES.length
          const piece = 1 + random.below(pieces[at] ?? 1)
          const lives = random.below(2) === 1
          const where = `in ${PHASES[at]?.name}, at piece ${piece} of ${pieces[at]}`
          await t.test(`round ${round}: ${where}${lives ? ', under live restore' : ''}`, async (sub) => {
            isBroken = true // until it passes: later rounds build on it
            sub.diagnostic(await killedAt(world, { at, piece, lives }))
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
  readonly piece: number
  /** Do containers live on while there is no dockerd (live restore)? */
  readonly lives: boolean
}

/** Kills dockerd at that moment; returns a description of what happened. */
async function killedAt(world: KilledWorld, { at, piece, lives }: Moment): Promise<string> {
  const { docker, archive } = world
  for (const phase of PHASES.slice(0, at)) await phase.run(docker, archive)
  const pid = await pidOf(world)
  const when = await killedIn(PHASES[at], piece, world)
  await docker.startDockerd(...(lives ? ['--live-restore'] : []))
  if (lives) assert.equal(await pidOf(world), pid, 'it lives on')
  await lookAtKept(world)
  for (const phase of PHASES.slice(0, at)) await phase.look(docker)
  for (const phase of PHASES.slice(at)) {
    await phase.run(docker, archive)
    await phase.look(docker)
  }
  const forgotten = await clear(world)
  return `${when}; forgotten: ${forgotten.length === 0 ? 'nothing' : forgotten}`
}

/** Runs the phase until the kill; returns a description of when it was. */
async function killedIn(
  phase: Phase | undefined,
  piece: number,
  { docker, tap, archive }: KilledWorld,
): Promise<string> {
  const doomed = docker.dockerd()
  let isKilled = false
  const killed = tap.at(piece, () => {
    isKilled = true
    void doomed.end('SIGKILL')
  })
  await phase?.run(docker, archive).catch((error: unknown) => {
    if (!isKilled) throw error
  })
  const when = isKilled ? await killed : 'at rest, it took fewer pieces'
  await doomed.end('SIGKILL')
  return `killed: ${when}`
}

async function pidOf({ docker }: KilledWorld): Promise<string> {
  return docker.docker('inspect', '--format', '{{.State.Running}} {{.State.Pid}}', 'kept')
}
