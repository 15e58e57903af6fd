/** A real containerd on our backends, and the runner of its cases, which build on each other. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FIXTURES, missingFor, type RealImage } from '../../../fixtures/images.js'
import type { OtherSystem } from '../../../fixtures/world.js'
import { type Varve, varveAt } from '../../support/varve.js'
import { SERVE_CELLS, type ServeCell, whyNoEngine } from '../cells.js'
import { type Serving, startServing } from '../serving.js'
import { until } from '../until.js'
import { type DiskUse, diskUseOf } from './disk.js'
import { CONTAINERD_COMMANDS, type Containerd, withContainerd } from './engine.js'

export interface Stage {
  readonly driver: string
  /** A directory for the test's own files. */
  readonly place: string
  readonly varve: Varve
  readonly containerd: Containerd
  readonly images: Readonly<Record<ImageName, RealImage>>
  /** The disk use of the new store. */
  readonly empty: DiskUse
  service(): Serving
  /** Restarts the service by SIGTERM while containerd goes on. */
  restart(): Promise<void>
}

type ImageName = 'docker-several' | 'skopeo-layout'

/** By title, in this order: they build on each other. */
export type Cases = Readonly<Record<string, (stage: Stage) => Promise<void>>>

export interface ContainerdTests {
  readonly cases: Cases
  /** The system whose containerd it is; default: the host. */
  system?(): Promise<OtherSystem>
}

/** The images in `docker-several`. */
export const RICH = 'varve.test/rich:1'
export const SIBLING = 'varve.test/sibling:2'

/** BuildKit is tested by way of dockerd (dockerd/builds.ts). */
const OTHER_CLIENTS = 'not tried, as Debian 12 has no package of them: nerdctl, buildctl'
/** The makers of the images. */
const MAKERS = FIXTURES.filter(({ name }) => name === 'docker' || name === 'skopeo')

/** The cases on every backend. */
export function testContainerd(name: string, { cases, system }: ContainerdTests): void {
  for (const cell of SERVE_CELLS) {
    test(`${name} on ${cell.driver}`, { skip: skipOf(cell) }, async (t) => {
      const other = system && { system: await system() }
      await withStage(cell, { ...other }, async (stage) => {
        const { containerd, service } = stage
        t.diagnostic((await containerd.ctr('version')).replace(/\s+/g, ' '))
        t.diagnostic(OTHER_CLIENTS)
        for (const [title, run] of Object.entries(cases)) {
          let isBroken = true
          await t.test(title, async () => {
            try {
              await run(stage)
              isBroken = false
            } catch (cause) {
              const said = `${containerd.log().slice(-4000)}\nvarve:\n${service().log().slice(-4000)}`
              throw new Error(`${cause}\ncontainerd:\n${said}`, { cause })
            }
          })
          if (isBroken) throw new Error(`${title}: later cases build on it`)
        }
      })
    })
  }
}

function skipOf(cell: ServeCell): string | false {
  const reason = whyNoEngine(cell, CONTAINERD_COMMANDS)
  if (reason !== false) return reason
  return MAKERS.map((maker) => missingFor(maker)).find((reason) => reason !== undefined) ?? false
}

async function withStage(
  { driver, within }: ServeCell,
  other: { readonly system?: OtherSystem },
  use: (stage: Stage) => Promise<void>,
): Promise<void> {
  const made = (await Promise.all(MAKERS.map((maker) => maker.make()))).flat()
  const image = (name: ImageName) => {
    const found = made.find((each) => each.name === name)
    if (found === undefined) throw new Error(`no fixture ${name}`)
    return found
  }
  const images = { 'docker-several': image('docker-several'), 'skopeo-layout': image('skopeo-layout') }
  await within(async (place) => {
    const varve = varveAt(join(place, 'root'), driver)
    const socket = join(place, 'varve.sock')
    const start = () => startServing('containerd', { root: varve.root, driver, socket })
    let running = await start()
    const service = () => running
    const restart = async () => {
      assert.equal(await running.end('SIGTERM'), 0, running.log())
      assert.equal(existsSync(socket), false)
      running = await start()
    }
    const empty = diskUseOf(varve.root)
    const engine = join(place, 'c')
    mkdirSync(engine)
    try {
      await withContainerd({ place: engine, snapshotter: socket, cri: true, ...other }, (containerd) =>
        use({ driver, place, varve, containerd, images, empty, service, restart }),
      )
    } finally {
      assert.equal(await running.end('SIGTERM'), 0, running.log())
    }
  })
}

export interface Script {
  readonly image: string
  readonly script: string
  /** Default `varve`. */
  readonly snapshotter?: string
  /** Default `default`. */
  readonly namespace?: string
}

const END = 'that was all'

/**
 * The standard output of a script in a new container, which is removed afterwards. It goes through a file, since `ctr run`
 * may end before it has copied everything from a pipe.
 */
export async function said({ containerd, place }: Stage, container: Script): Promise<string> {
  const { image, script, snapshotter = 'varve', namespace = 'default' } = container
  const id = `say-${snapshotter}`
  const file = join(place, id)
  rmSync(file, { force: true })
  const args = ['run', '--rm', '--snapshotter', snapshotter, '--log-uri', `file://${file}`, image, id]
  await containerd.ctr('--namespace', namespace, ...args, '/bin/sh', '-ec', `${script}; echo ${END}`)
  return until('the whole output is there', async () => {
    const text = readFileSync(file, 'utf8')
    assert.ok(text.endsWith(`${END}\n`), text)
    return text.slice(0, -END.length - 1)
  })
}
