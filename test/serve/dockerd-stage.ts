/** A real dockerd on our backends, and the cases that are done with it one after the other. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import type { OtherSystem } from '../../fixtures/world.js'
import { writeBusyImage } from './busy-image.js'
import { SERVE_CELLS, type ServeCell } from './cells.js'
import { DOCKERD_COMMANDS, type Docker, withDockerd } from './dockerd-engine.js'

export interface Stage {
  readonly docker: Docker
  readonly driver: string
  /** Where its logs are. */
  readonly place: string
  /** A directory of the test's own. */
  readonly work: string
  /** The image as it is to be loaded. */
  readonly archive: string
  readonly system?: OtherSystem
}

/** By title, in this order: they build on each other. */
export type Cases = Readonly<Record<string, (stage: Stage) => Promise<void>>>

export interface DockerdTests {
  readonly cases: Cases
  /** Default all. */
  readonly drivers?: readonly string[]
  /** Whose dockerd it is; default the host's. */
  system?(): Promise<OtherSystem>
}

export const RUN = ['run', '--network', 'none'] as const
/** Stopped without the ten seconds that dockerd gives. */
export const STAYING = ['--detach', '--stop-signal', 'SIGKILL'] as const

/** The cases on every backend. */
export function testDockerd(name: string, { cases, drivers, system }: DockerdTests): void {
  const missing = missingCommands(DOCKERD_COMMANDS)
  for (const cell of SERVE_CELLS.filter(({ driver }) => drivers?.includes(driver) ?? true)) {
    const skip = cell.skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)
    test(`${name} on ${cell.driver} does all that it does on its own storage`, { skip }, async (t) => {
      const other = system && { system: await system() }
      await withStage(cell, { ...other }, async (stage) => {
        const version = await stage.docker.docker('version', '--format', '{{.Server.Version}}')
        t.diagnostic(`dockerd ${version.trim()}`)
        for (const [title, run] of Object.entries(cases)) {
          let isBroken = true
          await t.test(title, async () => {
            await run(stage)
            isBroken = false
          })
          if (isBroken) throw new Error(`${title}: the others build on it`)
        }
      })
    })
  }
}

/** Afterwards both must end well. */
async function withStage(
  { driver, within }: ServeCell,
  other: { readonly system?: OtherSystem },
  use: (stage: Stage) => Promise<void>,
): Promise<void> {
  await within(async (directory) => {
    const [place, work] = ['engine', 'work'].map((name) => join(directory, name))
    if (place === undefined || work === undefined) throw new Error('no paths')
    for (const path of [place, work]) mkdirSync(path)
    const archive = join(work, 'busy.tar')
    await writeBusyImage(archive)
    await withDockerd({ place, storage: { varve: driver }, ...other }, async (docker) => {
      await use({ docker, driver, place, work, archive, ...other })
      assert.equal(await docker.dockerd().end('SIGTERM'), 0)
      assert.equal(await docker.service().end('SIGTERM'), 0)
      const log = readFileSync(join(place, 'varve.log'), 'utf8')
      assert.ok(!/INTERNAL|CORRUPT/.test(log), log)
    })
  })
}

/** The raw id of a container's layer. */
export async function layerOf(docker: Docker, container: string): Promise<string> {
  return (await docker.docker('inspect', '--format', '{{.GraphDriver.Data.ID}}', container)).trim()
}

export interface LayerLine {
  readonly id: string
  readonly kind: string
  readonly names: readonly string[]
  readonly mounts: readonly string[]
  readonly diffId?: string
}

/** What `varve layers` says, parents before children. */
export async function layersOf({ varve }: Docker): Promise<readonly LayerLine[]> {
  return lines(await varve('--json', 'layers')).map((line) => JSON.parse(line) as LayerLine)
}

/** Where this process sees the files of a container that runs, without what is mounted in there. */
export async function treeOf(docker: Docker, container: string): Promise<string> {
  const id = await layerOf(docker, container)
  const layer = (await layersOf(docker)).find(({ names }) => names.includes(id))
  const [place] = layer?.mounts ?? []
  if (place === undefined) throw new Error(`${container}: is not mounted`)
  return `/proc/${docker.service().pid}/root${place}`
}

export function lines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean)
}

export function sorted(text: string): readonly string[] {
  return [...lines(text)].sort()
}
