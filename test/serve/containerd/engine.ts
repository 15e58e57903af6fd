/**
 * A real containerd in a world of its own (fixtures/world.ts), all its directories and sockets in one place, that uses us.
 * The first process of the world starts it again whenever it ends, as systemd would.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command, commandBytes, ended } from '../../../fixtures/command.js'
import { type OtherSystem, startWorld } from '../../../fixtures/world.js'
import { childrenOf, endWorld } from '../engine-world.js'
import { until } from '../until.js'

export const CONTAINERD_COMMANDS = ['containerd', 'ctr', 'runc', 'setpriv', 'unshare', 'nsenter']

export interface ContainerdOptions {
  /** An existing directory; what containerd makes is below it. */
  readonly place: string
  /** Our socket. */
  readonly snapshotter: string
  /** Kubernetes' part of it, off where not said: it is told to take images by way of us. */
  readonly cri?: boolean
  /** More of its configuration. */
  readonly config?: string
  /** Another system whose containerd it is (fixtures/newest.ts); default the host's. */
  readonly system?: OtherSystem
}

export interface Containerd {
  readonly socket: string
  /** Runs `ctr`, by way of us where it does not say another snapshotter; its standard output. */
  ctr(...args: readonly string[]): Promise<string>
  /** The same as bytes. */
  ctrBytes(...args: readonly string[]): Promise<Buffer>
  /** SIGKILL to containerd alone: what it started lives on. Then wait for the next one's `answers`. */
  kill(): void
  answers(): Promise<void>
  log(): string
}

/** Starts it, lets `use` use it, and ends it with all that it started. A failure tells its log. Needs root. */
export async function withContainerd<T>(
  options: ContainerdOptions,
  use: (containerd: Containerd) => Promise<T>,
): Promise<T> {
  const { place } = options
  const [config, logFile, socket] = ['config.toml', 'containerd.log', 'c.sock'].map((name) =>
    join(place, name),
  )
  if (config === undefined || logFile === undefined || socket === undefined) throw new Error('no paths')
  mkdirSync(join(place, 'tmp'))
  writeFileSync(config, configOf(options, socket))
  const start = `while :; do containerd --config "$1" >>"$2" 2>&1 || :; done`
  const world = startWorld(
    ['/bin/sh', '-ec', start, 'containerd', config, logFile],
    { TMPDIR: join(place, 'tmp') },
    options.system,
  )
  const over = ended(world)
  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '')
  /** The world's first process, and containerd; 0 until they are there. */
  let [init, pid] = [0, 0]
  const inside = () => ['--target', `${init}`, '--mount', '--pid', '--', 'ctr', '--address', socket]
  const answers = () =>
    until('containerd answers', async () => {
      init = childrenOf(world.pid ?? 0)[0] ?? 0
      const next = childrenOf(init).find((each) => nameOf(each) === 'containerd')
      if (next === undefined || next === pid) throw new Error('it has not begun')
      await command('nsenter', [...inside(), 'version'])
      pid = next
    })
  const ctrBytes = (...args: readonly string[]) =>
    commandBytes('nsenter', [...inside(), ...args], {
      env: { CONTAINERD_SNAPSHOTTER: 'varve', TMPDIR: join(place, 'tmp') },
    })
  try {
    await answers()
    return await use({
      socket,
      kill: () => process.kill(pid, 'SIGKILL'),
      answers,
      ctr: async (...args) => (await ctrBytes(...args)).toString('utf8'),
      ctrBytes,
      log,
    })
  } catch (error) {
    throw new Error(`containerd said:\n${log().slice(-8000)}`, { cause: error })
  } finally {
    await endWorld(world, over)
  }
}

/** It looks for our service again at most 3 s after it failed to find it. */
export async function foundBy({ ctr }: Containerd): Promise<void> {
  await until('containerd has found the service', () => ctr('snapshots', 'usage'))
}

/**
 * Lets containerd collect garbage, and waits for it. By itself it does so now and then, the later the more time its last one
 * took.
 */
export async function collectGarbage({ ctr }: Containerd): Promise<void> {
  await ctr('leases', 'create', '--id', 'garbage')
  await ctr('leases', 'delete', '--sync', 'garbage')
}

/** SIGKILL to a container that runs, and its removal; its snapshot is garbage then. */
export async function endContainer({ ctr }: Containerd, id: string): Promise<void> {
  await ctr('tasks', 'kill', '--signal', 'SIGKILL', id)
  await until('the container is stopped', () => ctr('containers', 'rm', id))
}

function nameOf(pid: number): string {
  const file = `/proc/${pid}/comm`
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
}

function configOf(
  { place, snapshotter, cri = false, config = '' }: ContainerdOptions,
  socket: string,
): string {
  return `version = 2
root = "${place}/data"
state = "${place}/state"
disabled_plugins = [${cri ? '' : '"io.containerd.grpc.v1.cri"'}]
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${place}/t.sock"
[proxy_plugins.varve]
  type = "snapshot"
  address = "${snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "varve"
${config}`
}
