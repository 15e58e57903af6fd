/** The whole suite, in the order in which it runs. */
import type { Case } from '../suite.js'
import { activationCases } from './activation.js'
import { activationEngineCases } from './activation-engines.js'
import { activationReaderCases } from './activation-readers.js'
import { applyCases } from './apply.js'
import { badInputCases } from './bad-input.js'
import { brokenOffCases } from './broken-off.js'
import { changesCases } from './changes.js'
import { concurrencyCases } from './concurrency.js'
import { copyCases } from './copy.js'
import { depthCases } from './depth.js'
import { driverCases } from './driver.js'
import { layerFailureCases } from './layer-failures.js'
import { layerCases } from './layers.js'
import { leftOutCases } from './left-out.js'
import { quotaCases } from './quota.js'
import { scriptCases } from './scripts.js'
import { selectionCases } from './selection.js'
import { snapshotEditCases } from './snapshot-edits.js'
import { snapshotFileCases } from './snapshot-files.js'
import { snapshotWalkCases } from './snapshot-walks.js'
import { snapshotCases } from './snapshots.js'
import { tarCases } from './tar.js'
import { usageCases } from './usage.js'

export const CASES: readonly Case[] = [
  ...driverCases,
  ...copyCases,
  ...usageCases,
  ...quotaCases,
  ...depthCases,
  ...concurrencyCases,
  ...selectionCases,
  ...activationCases,
  ...activationReaderCases,
  ...activationEngineCases,
  ...applyCases,
  ...badInputCases,
  ...brokenOffCases,
  ...changesCases,
  ...scriptCases,
  ...tarCases,
  ...layerCases,
  ...leftOutCases,
  ...layerFailureCases,
  ...snapshotCases,
  ...snapshotWalkCases,
  ...snapshotEditCases,
  ...snapshotFileCases,
]
