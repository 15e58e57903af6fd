/** A real dockerd on our backends, and the runner of its cases, which build on each other. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { OtherSystem } from '../../../fixtures/world.js'
import { writeBusyImage } from '../busy-image.js'
import { SERVE_CELLS, type ServeCell, whyNoEngine } from '../cells.js'
import { DOCKERD_COMMANDS, type Docker, type DockerOptions, withDockerd } from './engine.js'

export interface Stage {
  readonly docker: Docker
  readonly driver: string
  /** The directory with its logs. */
  readonly place: string
  /** A directory for the test's own files. */
  readonly work: string
  /** The archive of the image to load. */
  readonly archive: string
  readonly system?: OtherSystem
}

/** By title, in this order: they build on each other. */
export type Cases = Readonly<Record<string, (stage: Stage) => Promise<void>>>

export interface DockerdTests {
  readonly cases: Cases
  /** Default: all. */
  readonly drivers?: readonly string[]
  /** Default: by plug-in. */
  storage?(driver: string): DockerOptions['storage']
  /** The system whose dockerd it is; default: the host. */
  system?(): Promise<OtherSystem>
}

export const RUN = ['run', '--network', 'none'] as const
/** For a container that is stopped without dockerd's grace of ten seconds. */
export const STAYING = ['--detach', '--stop-signal', 'SIGKILL'] as const

/** The cases on every backend. */
export function testDockerd(
  name: string,
  { cases, drivers, system, storage = byPlugin }: DockerdTests,
): void {
  for (const cell of SERVE_CELLS.filter(({ driver }) => drivers?.includes(driver) ?? true)) {
    const title = `${name} on ${cell.driver} does all that it does on its own storage`
    test(title, { skip: whyNoEngine(cell, DOCKERD_COMMANDS) }, async (t) => {
      const engine = { storage: storage(cell.driver), ...(system && { system: await system() }) }
      await withStage(cell, engine, async (stage) => {
        const version = await stage.docker.docker('version', '--format', '{{.Server.Version}}')
        t.diagnostic(`dockerd ${version.trim()}`)
        for (const [each, run] of Object.entries(cases)) {
          let isBroken = true
          await t.test(each, async () => {
            await run(stage)
            isBroken = false
          })
          if (isBroken) throw new Error(`${each}: later cases build on it`)
        }
      })
    })
  }
}

function byPlugin(driver: string): DockerOptions['storage'] {
  return { varve: driver }
}

/** Afterwards dockerd and the service must end with status 0. */
async function withStage(
  { driver, within }: ServeCell,
  engine: Pick<DockerOptions, 'storage' | 'system'>,
  use: (stage: Stage) => Promise<void>,
): Promise<void> {
  await within(async (directory) => {
    const [place, work] = [join(directory, 'engine'), join(directory, 'work')]
    for (const path of [place, work]) mkdirSync(path)
    const archive = join(work, 'busy.tar')
    await writeBusyImage(archive)
    await withDockerd({ place, ...engine }, async (docker) => {
      const { system } = engine
      await use({ docker, driver, place, work, archive, ...(system && { system }) })
      assert.equal(await docker.dockerd().end('SIGTERM'), 0)
      assert.equal(await docker.service().end('SIGTERM'), 0)
      const log = readFileSync(join(place, 'varve.log'), 'utf8')
      assert.ok(!/INTERNAL|CORRUPT/.test(log), log)
    })
  })
}
