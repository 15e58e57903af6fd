/**
 * dockerd can do on varve what it can do on overlay2; or it can do it on neither, for the same reason, a lack of the kernel.
 * The outcomes are kept for the README's table.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../../../fixtures/command.js'
import { writeBusyImage } from '../../busy-image.js'
import { SERVE_CELLS, type ServeCell } from '../../cells.js'
import { DOCKERD_COMMANDS, type DockerOptions, withDockerd } from '../engine.js'
import { FEATURE_WORDS, FEATURES, type FeatureOutcome, tryFeature } from './features.js'
import { keepFeatures, nameOnUs, OWN } from './table.js'

interface Engine {
  readonly name: string
  readonly storage: DockerOptions['storage']
  /** The cell that it runs on. */
  readonly cell: ServeCell
}

type Outcomes = ReadonlyMap<string, FeatureOutcome>

const ENGINES: readonly Engine[] = [
  ...SERVE_CELLS.map((cell) => ({ name: nameOnUs(cell.driver), storage: { varve: cell.driver }, cell })),
  // dockerd's own overlay2 on the same file system.
  ...SERVE_CELLS.filter(({ driver }) => driver === 'overlay').map((cell) => ({
    name: OWN,
    storage: { own: OWN },
    cell,
  })),
]
const missing = missingCommands([...DOCKERD_COMMANDS, 'ip', 'iptables', 'hostname'])
const possible = ENGINES.filter(({ cell }) => !cell.skip)
const skip =
  missing.length > 0
    ? `there is no ${missing.join(', ')}`
    : (ENGINES.find(({ name, cell }) => name === OWN && cell.skip)?.cell.skip ?? false)

test('dockerd can do on us what it can do on overlay2', { skip }, async (t) => {
  const all = await inTwoLanes(possible)
  const own = all.get(OWN)
  for (const { name, cell } of ENGINES) {
    if (cell.skip) await t.test(name, { skip: cell.skip }, () => {})
    for (const [feature, { result, reason }] of all.get(name) ?? []) {
      await t.test(`${feature} on ${name}`, (sub) => {
        if (result === 'failed') throw new Error(reason)
        assert.deepEqual({ result, reason }, { reason: undefined, ...own?.get(feature) })
        if (result === 'impossible') sub.skip(`this kernel lacks what it needs: ${reason}`)
      })
    }
  }
  keepFeatures(all)
})

/** Two engines at a time, since there are at least two cores. Returns the outcomes by name, in the engines' order. */
async function inTwoLanes(engines: readonly Engine[]): Promise<ReadonlyMap<string, Outcomes>> {
  const found = new Map<string, Outcomes>(engines.map(({ name }) => [name, new Map()]))
  const lanes = [0, 1].map(async (lane) => {
    for (const engine of engines.filter((_, i) => i % 2 === lane)) {
      found.set(engine.name, await engine.cell.within((directory) => featuresOf(engine, directory)))
    }
  })
  // A failure is thrown only when both lanes have ended, so that no engine keeps running.
  for (const lane of await Promise.allSettled(lanes)) if (lane.status === 'rejected') throw lane.reason
  return found
}

async function featuresOf({ storage }: Engine, directory: string): Promise<Outcomes> {
  const place = join(directory, 'engine')
  const archive = join(directory, 'busy.tar')
  mkdirSync(place)
  await writeBusyImage(archive)
  return withDockerd({ place, storage, networks: FEATURE_WORDS }, async (docker) => {
    await docker.docker('load', '--input', archive)
    const outcomes = new Map<string, FeatureOutcome>()
    for (const [i, feature] of FEATURES.entries()) {
      const work = join(directory, `work${i}`)
      mkdirSync(work)
      outcomes.set(feature.name, await tryFeature(feature, docker, work))
    }
    assert.equal(await docker.docker('ps', '--all', '--quiet'), '')
    if ('varve' in storage) await docker.varve('check', '--data')
    return outcomes
  })
}
