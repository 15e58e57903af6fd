/**
 * kill -9 to containerd while it imports, runs and commits, at a random piece of its traffic with the service. The next
 * containerd has all that the killed one had acknowledged, goes on, and knows the same snapshots as varve. `VARVE_ROUNDS=20`
 * for more rounds.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRandom } from '../../../conformance/random.js'
import { SEED } from '../../../support/seed.js'
import { SERVE_CELLS, whyNoEngine } from '../../cells.js'
import { ROUNDS } from '../../rounds.js'
import { CONTAINERD_COMMANDS, foundBy } from '../engine.js'
import { clear, sameTrees, settle, type Trees, treesOf } from './truth.js'
import { STEPS } from './work.js'
import { type KilledWorld, lookAtKept, withKept } from './world.js'

describe('containerd is killed', { concurrency: true }, () => {
  for (const cell of SERVE_CELLS) {
    test(`on ${cell.driver}`, { skip: whyNoEngine(cell, CONTAINERD_COMMANDS) }, async (t) => {
      const random = createRandom(SEED)
      await withKept(cell, async (world) => {
        const { pieces, trees } = await undisturbed(world)
        let isBroken = false
        for (let round = 0; round < ROUNDS && !isBroken; round++) {
          const at = (SEED + round) % STEPS.length
          const piece = 1 + random.below(pieces[at] ?? 1)
          const title = `round ${round}: in ${STEPS[at]?.name}, at piece ${piece} of ${pieces[at]}`
          await t.test(title, async (sub) => {
            isBroken = true // until it passes: later rounds build on it
            sub.diagnostic(await killedAt(world, { at, piece, trees }))
            isBroken = false
          })
        }
      })
    })
  }
})

/** The number of pieces that each step takes, and the trees that they make, without a kill. */
async function undisturbed(world: KilledWorld) {
  const pieces: number[] = []
  for (const step of STEPS) {
    const before = world.tap.passed()
    await step.run(world)
    pieces.push(world.tap.passed() - before)
  }
  const trees = await treesOf(world, STEPS)
  await clear(world)
  return { pieces, trees }
}

interface Moment {
  /** Index of the step. */
  readonly at: number
  readonly piece: number
  readonly trees: Trees
}

/** Kills containerd at that moment; returns a description of what happened. */
async function killedAt(world: KilledWorld, { at, piece, trees }: Moment): Promise<string> {
  const { containerd, tap, service } = world
  const before = service().log().length
  try {
    for (const step of STEPS.slice(0, at)) await step.run(world)
    let [isKilled, isOver] = [false, false]
    void tap.at(piece, () => {
      if (isOver) return
      isKilled = true
      containerd.kill()
    })
    const isDone = await (STEPS[at]?.run(world) ?? Promise.resolve()).then(
      () => true,
      (error: unknown) => {
        if (!isKilled) throw error
        return false
      },
    )
    const when = isDone ? 'the step was done' : 'the step was cut off'
    isOver = true
    if (!isKilled) containerd.kill() // the step took fewer pieces this time
    await containerd.answers()
    await foundBy(world.containerd)
    await lookAtKept(world)
    await settle(world)
    assert.deepEqual(await world.varve.json('check', '--data'), [])
    sameTrees(await treesOf(world, STEPS.slice(0, isDone ? at + 1 : at)), trees)
    for (const step of STEPS.slice(at)) await step.run(world)
    sameTrees(await treesOf(world, STEPS), trees)
    await clear(world)
    return when
  } catch (error) {
    const what = error instanceof Error ? error.stack : String(error)
    throw new Error(`${what}\nwe said: ${service().log().slice(before).slice(-8000)}`, { cause: error })
  }
}
