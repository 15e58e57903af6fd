/** dockerd on varve against the same dockerd on its own overlay2, both on one file system. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { command, missingCommands } from '../../fixtures/command.js'
import { DOCKERD_COMMANDS, withDockerd } from '../serve/dockerd/engine.js'
import { whyNoFileSystem } from '../support/file-system.js'
import { writeEdition } from './engine-image.js'
import { byTurns } from './measure.js'
import type { Place } from './place.js'
import { type Row, row } from './report.js'

const IMAGE = 'varve.test/four:1'
const RUNS = 10
/** Each load takes 240 MB, twice, on the test file system of 4 GiB. */
const MOST_LOADS = 6

/**
 * `docker load` and `docker run`, on a new file system. After thousands of files were removed, ext4 is slow to find free
 * inodes, which hits whichever contender comes first. So each round loads another edition of the image, and nothing is
 * removed. More than six rounds do not fit.
 */
export async function dockerBench(place: Place, rounds: number): Promise<readonly Row[]> {
  const reason = whyNot() ?? whyNoFileSystem('ext4')
  if (reason !== undefined) {
    console.log(`  left out: docker: ${reason}`)
    return []
  }
  const archive = join(place.directory, 'edition.tar')
  return place.within('ext4', (path) => {
    const [ours, theirs] = ['varve', 'overlay2'].map((name) => join(path, name))
    if (ours === undefined || theirs === undefined) throw new Error('no paths')
    for (const directory of [ours, theirs]) mkdirSync(directory)
    return withDockerd({ place: ours, storage: { varve: 'overlay' } }, (varve) =>
      withDockerd({ place: theirs, storage: { own: 'overlay2' } }, async (overlay2) => {
        const engines = [
          { name: 'varve', engine: varve },
          { name: 'overlay2', engine: overlay2 },
        ]
        let edition = 0
        const [load, ownLoad] = await byTurns(
          Math.min(rounds, MOST_LOADS),
          engines.map(({ name, engine }) => ({
            name,
            async before() {
              await writeEdition(archive, IMAGE, String(edition++))
              await command('sync', ['--file-system', archive, path])
            },
            run: async () => void (await engine.docker('load', '--quiet', '--input', archive)),
          })),
        )
        const [run, ownRun] = await byTurns(
          rounds * RUNS,
          engines.map(({ name, engine }) => ({
            name,
            run: async () => void (await engine.docker('run', '--rm', '--network', 'none', IMAGE, 'true')),
          })),
        )
        return [
          row('docker load of 4 layers', load, ownLoad, 1.2),
          row('docker run --rm true', run, ownRun, 1.1),
        ]
      }),
    )
  })
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  const missing = missingCommands(DOCKERD_COMMANDS)
  return missing.length > 0 ? `there is no ${missing.join(', ')}` : undefined
}
