/**
 * What dockerd can do on overlay2 it can do on us; or neither can, and the reason is the kernel's and the same. The outcomes
 * are kept for the README's table.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { SERVE_CELLS, type ServeCell } from './cells.js'
import { DOCKERD_COMMANDS, type DockerOptions, withDockerd } from './docker-engine.js'
import { FEATURE_WORDS, FEATURES, type FeatureOutcome, type Stage, tryFeature } from './docker-features.js'
import { writeBusyImage } from './docker-image.js'
import { keepFeatures } from './features-table.js'

type Outcomes = ReadonlyMap<string, FeatureOutcome>

const missing = missingCommands([...DOCKERD_COMMANDS, 'ip', 'iptables', 'hostname'])
const [beside, ...others] = SERVE_CELLS
if (beside === undefined) throw new Error('there is no backend')
const skip = beside.skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)

test('dockerd can do on us what it can do on overlay2', { skip }, async (t) => {
  // At once, for there are two cores; the others one after the other.
  const [own, ours] = await Promise.all([onOverlay2(beside), onUs(beside)])
  const engines = new Map([['overlay2', own]])
  const settle = async (name: string, outcomes: Outcomes) => {
    engines.set(name, outcomes)
    for (const feature of FEATURES.map(({ name }) => name)) {
      await t.test(`${feature} on ${name}`, (sub) => {
        const { result, reason = '' } = outcomes.get(feature) ?? { result: 'failed', reason: 'not tried' }
        if (result === 'failed') throw new Error(reason)
        assert.deepEqual({ result, reason }, { reason: '', ...own.get(feature) })
        if (result === 'impossible') sub.skip(`this kernel lacks what it needs: ${reason}`)
      })
    }
  }
  await settle('overlay2', own)
  await settle(`varve, ${beside.driver}`, ours)
  for (const cell of others) {
    if (cell.skip) await t.test(cell.driver, { skip: cell.skip }, () => {})
    else await settle(`varve, ${cell.driver}`, await onUs(cell))
  }
  keepFeatures(engines)
})

function onUs(cell: ServeCell): Promise<Outcomes> {
  return cell.within((directory) => featuresOf(directory, { varve: cell.driver }))
}

/** On the file system that ours is on. */
function onOverlay2(cell: ServeCell): Promise<Outcomes> {
  return cell.within((directory) => featuresOf(directory, { own: 'overlay2' }))
}

async function featuresOf(directory: string, storage: DockerOptions['storage']): Promise<Outcomes> {
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
      outcomes.set(feature.name, await tryFeature(feature, { docker, work } satisfies Stage))
    }
    assert.equal(await docker.docker('ps', '--all', '--quiet'), '', 'all containers are gone')
    if ('varve' in storage) await docker.varve('check', '--data')
    return outcomes
  })
}
