/** The cost of containerd's three calls for a layer: through varve's socket, and by its own overlayfs snapshotter. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { missingCommands } from '../../fixtures/command.js'
import { CONTAINERD_COMMANDS, withContainerd } from '../serve/containerd/engine.js'
import { openClient, type SnapshotClient } from '../serve/containerd/snapshot-client.js'
import { startServing } from '../serve/serving.js'
import { byTurns, type Contender } from './measure.js'
import type { Place } from './place.js'
import { type Row, row } from './report.js'

/** Layers that each contender makes and removes as a warm-up, since a new service still compiles its code. */
const FIRST = 500
/** Layers made and removed in one turn: enough to make containerd collect its garbage. */
const LAYERS = 50
/** containerd requires a namespace from every client. */
const namespace = 'bench'
/** Keeps containerd from collecting snapshots that nothing refers to. */
const labels = { 'containerd.io/gc.root': 'bench' }

/** Both data roots are on one disk, and one client calls all contenders. */
export async function snapshotBench({ directory }: Place, rounds: number): Promise<readonly Row[]> {
  const missing = missingCommands(CONTAINERD_COMMANDS)
  if (process.getuid?.() !== 0 || missing.length > 0) {
    console.log(`  left out: snapshots: ${missing.length > 0 ? `there is no ${missing[0]}` : 'needs root'}`)
    return []
  }
  const work = join(directory, 'snapshots')
  mkdirSync(work)
  const serve = async (name: string) => {
    const root = join(work, name)
    mkdirSync(root, { mode: 0o700 })
    return startServing('containerd', { root, driver: 'overlay', socket: `${root}.sock`, level: 'info' })
  }
  // containerd removes snapshots that it does not know, so it gets a separate service.
  const services = [await serve('direct'), await serve('containerd')] as const
  try {
    const [direct, { socket: snapshotter }] = services
    const place = join(work, 'engine')
    mkdirSync(place)
    return await withContainerd({ place, snapshotter }, ({ socket }) =>
      compare(direct.socket, socket, rounds * 2),
    )
  } finally {
    for (const service of services) await service.end('SIGTERM')
    rmSync(work, { recursive: true, force: true })
  }
}

async function compare(ours: string, containerd: string, rounds: number): Promise<readonly Row[]> {
  const clients = [
    await openClient(ours),
    await openClient(containerd, { namespace, snapshotter: 'overlayfs' }),
    await openClient(containerd, { namespace }),
  ] as const
  try {
    const [direct, overlayfs, proxied] = clients
    const [socket, own, through] = await byTurns(rounds, [
      await contender('our socket', direct),
      await contender("containerd's overlayfs", overlayfs),
      await contender('containerd with us', proxied),
    ])
    const what = `Prepare + Commit + Remove of ${LAYERS} snapshots`
    return [
      row(`${what}, through our socket`, socket, own, 1.5),
      row('the same through containerd', through, own),
    ]
  } finally {
    for (const client of clients) client.close()
  }
}

/** Prepares, commits and removes snapshots on a parent, one after the other. */
async function contender(name: string, client: SnapshotClient): Promise<Contender> {
  const parent = `base of ${name}`
  await client.call('Prepare', { key: `${parent}, written`, labels })
  await client.call('Commit', { key: `${parent}, written`, name: parent, labels })
  let made = 0
  const make = async (layers: number) => {
    for (let i = 0; i < layers; i++) {
      const [key, committed] = [`key ${++made}`, `name ${made}`]
      await client.call('Prepare', { key, parent, labels })
      await client.call('Commit', { key, name: committed, labels })
      await client.call('Remove', { key: committed })
    }
  }
  await make(FIRST)
  return { name, run: () => make(LAYERS) }
}
