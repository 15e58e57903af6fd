/** The commands that containerd gets while its transcript is recorded. Files that it changes get times of 2024. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { skopeoCopy } from '../../../fixtures/podman.js'
import { writeSmallImage } from '../../../fixtures/small.js'
import { varveAt, withVarve } from '../../support/varve.js'
import { IMAGE, writeBusyImage } from '../busy-image.js'
import { criPull } from '../containerd/cri.js'
import { withContainerd } from '../containerd/engine.js'
import { openRegistry } from '../registry.js'
import { startServing } from '../serving.js'
import { until } from '../until.js'
import { recordContainerd } from './containerd-recorder.js'
import { EDITS, SETTLE } from './docker-scenario.js'
import type { ContainerdLine, WireLine } from './lines.js'

export interface Recorded {
  readonly lines: readonly ContainerdLine[]
  readonly wire: readonly WireLine[]
}

/** Runs Debian's containerd on varve's overlay backend. Needs root and CONTAINERD_COMMANDS. */
export async function recordContainerdRun(): Promise<Recorded> {
  const work = mkdtempSync(join(tmpdir(), 'vt-'))
  try {
    return await record(work)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function record(work: string): Promise<Recorded> {
  const archive = join(work, 'busy.tar')
  await writeBusyImage(archive)
  const place = join(work, 'engine')
  mkdirSync(place)
  const [root, listen, forward] = ['root', 'listen', 'forward'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ]
  const small = join(work, 'small.tar')
  await writeSmallImage(small)
  const recorder = await recordContainerd({ ROOT: root, PLACE: work }, await chainsOf(small))
  const varve = varveAt(root, 'overlay')
  const start = () => startServing('containerd', { root, driver: 'overlay', socket: forward })
  let service = await start()
  const proxy = await recorder.open({ listen, forward })
  recorder.step('containerd starts')
  try {
    return await withContainerd({ place, snapshotter: listen, cri: true, config: QUIET }, async (engine) => {
      const first = async (...args: readonly string[]) => {
        recorder.step(['ctr', ...args].join(' ').replaceAll(work, 'WORK'))
        await engine.ctr(...args)
      }
      const step = async (...args: readonly string[]) => {
        await first(...args)
        await settle()
      }
      // Makes containerd collect its garbage now, and not some time later.
      const settle = async () => {
        await engine.ctr('leases', 'create', '--id', 'settle')
        await engine.ctr('leases', 'rm', '--sync', 'settle')
      }
      const gone = async (...container: readonly string[]) => {
        await until('the container is gone', () => engine.ctr(...container))
      }
      const version = /Server:\s+Version:\s+(\S+)/.exec(await engine.ctr('version'))?.[1]
      await step('images', 'import', archive)
      await step('snapshots', 'ls')
      await step('snapshots', 'usage')
      const label = ['--snapshotter-label', 'containerd.io/snapshot/note=recorded']
      await step('run', ...label, IMAGE, 'web', 'sh', '-ec', `${EDITS}; ${SETTLE}`)
      await step('snapshots', 'diff', 'web')
      await step('snapshots', 'commit', 'mine', 'web')
      await step('containers', 'rm', 'web')
      // Only its user holds a view.
      await first('snapshots', 'view', 'look', 'mine')
      await first('snapshots', 'label', 'mine', 'who=me')
      await first('snapshots', 'info', 'mine')
      await first('snapshots', 'tree')
      await step('snapshots', 'rm', 'look')
      const other = ['--namespace', 'other']
      await step(...other, 'images', 'import', archive)
      await step(...other, 'run', '--rm', IMAGE, 'brief', 'true')
      await step('run', '--detach', IMAGE, 'long', 'sh', '-ec', 'echo before >/srv/before; sleep 1000')
      recorder.restart('SIGTERM')
      await service.end('SIGTERM')
      service = await start()
      await until('containerd has found the service again', () => engine.ctr('snapshots', 'usage', 'long'))
      await step('tasks', 'exec', '--exec-id', 'e', 'long', 'sh', '-ec', 'echo after >/srv/after')
      await step('snapshots', 'usage', 'long')
      await step('tasks', 'kill', '--signal', 'SIGKILL', 'long')
      await gone('containers', 'rm', 'long')
      await settle()
      await step('snapshots', 'rm', 'mine')
      await step('images', 'rm', '--sync', IMAGE)
      await step(...other, 'images', 'rm', '--sync', IMAGE)
      const admin = async (...args: string[]) => {
        recorder.admin(args)
        await varve.varve(...args)
      }
      await admin('import', small, '--name', 'imported:1')
      await skopeoCopy(`docker-archive:${small}`, `oci:${join(work, 'layout')}:1`)
      const registry = await openRegistry(join(work, 'layout'))
      try {
        recorder.step('Kubernetes pulls the same image')
        await criPull(engine.socket, `${registry.host}/varve/small:1`)
        await settle()
      } finally {
        registry.close()
      }
      recorder.step('... and removes it')
      const kubernetes = ['--namespace', 'k8s.io', 'images']
      const pulled = (await engine.ctr(...kubernetes, 'ls', '-q')).split('\n').filter(Boolean)
      await engine.ctr(...kubernetes, 'rm', '--sync', ...pulled)
      await admin('rm', 'imported:1')
      recorder.step('containerd ends')
      return { lines: recorder.lines(`containerd ${version}`), wire: recorder.wire() }
    })
  } finally {
    proxy.close()
    await service.end('SIGTERM')
  }
}

/** By default the CRI plug-in measures all snapshots every ten seconds. */
const QUIET = `[plugins."io.containerd.grpc.v1.cri"]
  stats_collect_period = 86400
`

/** The chain ids of an image's layers, without their algorithm. */
async function chainsOf(archive: string): Promise<readonly string[]> {
  return withVarve('vfs', async (varve) => {
    await varve.varve('import', archive)
    const layers = await varve.json<{ readonly chainId: string }>('layers')
    return layers.map(({ chainId }) => chainId.slice('sha256:'.length))
  })
}
