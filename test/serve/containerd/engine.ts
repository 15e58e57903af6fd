/**
 * A real containerd on varve, in its own world (fixtures/world.ts), with all its directories and sockets in one place. The
 * world's first process restarts it whenever it ends, as systemd would.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command, commandBytes, ended } from '../../../fixtures/command.js'
import { type OtherSystem, startWorld } from '../../../fixtures/world.js'
import { childrenOf, endWorld } from '../engine-world.js'
import { until } from '../until.js'

export const CONTAINERD_COMMANDS = ['containerd', 'ctr', 'runc', 'setpriv', 'unshare', 'nsenter']

export interface ContainerdOptions {
  /** An existing directory for all of containerd's files. */
  readonly place: string
  /** The socket of `varve serve`. */
  readonly snapshotter: string
  /** Enables the CRI plug-in (default: off), with varve as its snapshotter. */
  readonly cri?: boolean
  /** Further configuration. */
  readonly config?: string
  /** The system whose containerd it is (fixtures/newest.ts); default: the host. */
  readonly system?: OtherSystem
}

export interface Containerd {
  readonly socket: string
  /** Runs `ctr`, on varve where the arguments name no other snapshotter. Resolves to its standard output. */
  ctr(...args: readonly string[]): Promise<string>
  /** The same as bytes. */
  ctrBytes(...args: readonly string[]): Promise<Buffer>
  /** SIGKILL to containerd alone: the processes that it started live on. Then wait for the next one's `answers`. */
  kill(): void
  answers(): Promise<void>
  log(): string
}

/** Starts it, runs `use`, and ends it with all that it started. An error includes its log. Needs root. */
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
  /** The pids of the world's first process and of containerd; 0 until they run. */
  let [init, pid] = [0, 0]
  const inside = () => ['--target', `${init}`, '--mount', '--pid', '--', 'ctr', '--address', socket]
  const answers = () =>
    until('containerd answers', async () => {
      init = childrenOf(world.pid ?? 0)[0] ?? 0
      const next = childrenOf(init).find((each) => nameOf(each) === 'containerd')
      if (next === undefined || next === pid) throw new Error('containerd has not started yet')
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

/** containerd looks for the service again at most 3 s after it failed to find it. */
export async function foundBy({ ctr }: Containerd): Promise<void> {
  await until('containerd has found the service', () => ctr('snapshots', 'usage'))
}

/**
 * Makes containerd collect garbage, and waits for it. By itself it does so from time to time, later if the last collection
 * took long.
 */
export async function collectGarbage({ ctr }: Containerd): Promise<void> {
  await ctr('leases', 'create', '--id', 'garbage')
  await ctr('leases', 'delete', '--sync', 'garbage')
}

/** Kills and removes a running container; its snapshot is garbage then. */
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
