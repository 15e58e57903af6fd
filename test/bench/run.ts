/**
 * `npm run bench`: varve against GNU tar, find, btrfs and other engines, in turn in one run. The ratios count; the seconds
 * depend on the machine and its load. $BENCH_DIR selects another disk, $ROUNDS the number of rounds. `node run.js WORD…`
 * runs the sections whose name has one of the words. The exit status is 0 even if a target is missed.
 */
import { statSync } from 'node:fs'
import { command } from '../../fixtures/command.js'
import { btrfsBench, overlayBench } from './backends.js'
import { imports, peers, reading, type Setting, smallImports, start } from './commands.js'
import { dockerBench } from './docker.js'
import { bigLayer, smallLayers } from './layer.js'
import { openPlace } from './place.js'
import { print, printMemory, type Row } from './report.js'
import { snapshotBench } from './snapshots.js'

const MOST_MIB = 200

const rounds = Number(process.env.ROUNDS ?? 5)
const driver = process.getuid?.() === 0 ? 'overlay' : 'vfs'
const layer = await bigLayer()
const small = await smallLayers()
const place = openPlace()
const setting: Setting = { work: place.directory, driver, rounds }

const sections: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
  import: () => imports(setting, layer),
  small: () => smallImports(setting, small),
  reading: () => reading(setting, layer),
  start: () => start(setting),
  peers: () => peers(setting, layer),
  btrfs: () => btrfsBench(place, rounds),
  overlay: () => overlayBench(place),
  snapshots: () => snapshotBench(place, rounds),
  docker: () => dockerBench(place, rounds),
}

try {
  const entries = (await command('tar', ['-tf', layer.tar])).split('\n').length - 1
  const megabytes = statSync(layer.tar).size / 1e6
  console.log(
    `layer: ${megabytes.toFixed(0)} MB, ${entries} entries; ${driver} on ${place.kind}; median of ${rounds}\n`,
  )
  const rows: Row[] = []
  const words = process.argv.slice(2)
  for (const [name, section] of Object.entries(sections)) {
    if (words.length > 0 && !words.some((word) => name.includes(word))) continue
    const found = await section()
    print(found)
    rows.push(...found)
  }
  if (rows.some(({ ours }) => ours.peakMib !== undefined)) printMemory(rows, MOST_MIB)
} finally {
  place.close()
}
