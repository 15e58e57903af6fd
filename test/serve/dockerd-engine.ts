/**
 * A real dockerd that uses us, in a world of its own (fixtures/world.ts): containerd, our service and dockerd are started in
 * there one by one, so that each can be ended, killed and started again. All their directories are in one place.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { errnoOf } from '../../core/errors.js'
import { type CommandOptions, command, commandBytes, ended, searchPath } from '../../fixtures/command.js'
import { containerdConfig } from '../../fixtures/docker.js'
import { type OtherSystem, startWorld } from '../../fixtures/world.js'
import { CLI } from '../varve.js'
import { groupOf, removeGroup } from './cgroups.js'
import { openTap, type Tap } from './tap.js'
import { until } from './until.js'

export const DOCKERD_COMMANDS = ['dockerd', 'containerd', 'runc', 'docker', 'setpriv', 'unshare', 'nsenter']

/** Debian's client: another one earlier in PATH may be too new for its daemon. */
const CLIENT = existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker'

export interface DockerOptions {
  /** An existing directory; everything is below it. */
  readonly place: string
  /** Our backend; the same beneath containerd, which keeps dockerd's images; or dockerd's own storage driver instead of us. */
  readonly storage: { readonly varve: string } | { readonly store: string } | { readonly own: string }
  /** Another system whose engines they are (fixtures/newest.ts); default the host's. */
  readonly system?: OtherSystem
  /** All that dockerd and we say to each other goes through a tap. */
  readonly tapped?: true
  /** The same with something else in between, which listens at the one and passes on to the other. */
  readonly between?: (sockets: {
    readonly listen: string
    readonly forward: string
  }) => Promise<{ close(): void }>
  /** Words for a dockerd that makes networks, in a network and with a host name of its own; default it makes none. */
  readonly networks?: readonly string[]
}

/** Makes the world's own network and host name; enters them. */
const NETWORK = {
  start: ['unshare', '--net', '--uts', '/bin/sh', '-ec', 'ip link set lo up; hostname own; exec "$@"', 'own'],
  enter: ['--net', '--uts'],
}

/** A process of the world. */
export interface Running {
  readonly pid: number
  /** The exit status, or 128 and the signal's number. */
  end(signal: NodeJS.Signals): Promise<number | string>
  readonly ended: Promise<number | string>
}

export interface Docker {
  /** Runs the client; its standard output. */
  docker(...args: readonly string[]): Promise<string>
  /** The same with an environment; standard error too. */
  dockerWith(args: readonly string[], env: Readonly<Record<string, string>>, input?: string): Promise<string>
  /** Runs `varve` as an admin would while all this runs; its standard output. */
  varve(...args: readonly string[]): Promise<string>
  /** Runs any command in the world; its standard output. */
  inside(...args: readonly string[]): Promise<string>
  startService(env?: Readonly<Record<string, string>>): Promise<Running>
  /** With more words for it. */
  startDockerd(...args: readonly string[]): Promise<Running>
  readonly service: () => Running
  readonly dockerd: () => Running
  readonly tap: () => Tap
  /** Our store. */
  readonly root: string
}

/** Starts all of it, lets `use` use it, and ends it with all that it started. A failure tells the logs. Needs root. */
export async function withDockerd<T>(
  options: DockerOptions,
  use: (docker: Docker) => Promise<T>,
): Promise<T> {
  const { place, storage, tapped, between, networks } = options
  const root = join(place, 'varve')
  const tappedSocket = join(place, 'tapped.sock')
  const logs = ['containerd', 'varve', 'dockerd'].map((name) => join(place, `${name}.log`))
  for (const name of ['config', 'tmp']) mkdirSync(join(place, name))
  const features = 'store' in storage ? { features: { 'containerd-snapshotter': true } } : {}
  writeFileSync(join(place, 'daemon.json'), JSON.stringify(features))
  const plugin = 'store' in storage ? snapshotterConfig(place) : ''
  writeFileSync(join(place, 'containerd.toml'), containerdConfig(place) + plugin)
  const network = networks === undefined ? { start: [], enter: [] } : NETWORK
  const world = startWorld([...network.start, '/bin/sh', '-c', 'exec sleep infinity'], {}, options.system)
  const end = ended(world)
  const words = async (args: readonly string[]) => [
    '--target',
    await initOf(world),
    '--mount',
    '--pid',
    ...network.enter,
    '--',
    ...args,
  ]
  const inside = async (args: readonly string[], more: CommandOptions = {}) =>
    commandBytes('nsenter', await words(args), { ...more, env: { ...environment(place), ...more.env } })
  const start = async (
    name: string,
    args: readonly string[],
    answers: (child: ChildProcess) => Promise<unknown>,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Running> => {
    const log = openSync(join(place, `${name}.log`), 'a')
    const child = spawn('nsenter', await words(args), {
      stdio: ['ignore', log, log, 'pipe'],
      env: { ...process.env, PATH: searchPath(), ...environment(place), ...env },
    })
    closeSync(log)
    const over = ended(child)
    const isOver = () => child.exitCode !== null || child.signalCode !== null
    await until(`${name} answers`, async () => {
      if (!isOver()) await Promise.race([answers(child), over])
    })
    if (isOver()) throw new Error(`${name} has ended: ${await over}`)
    const pid = Number(childOf(child.pid ?? 0))
    return {
      pid,
      async end(signal) {
        try {
          // 0: it had ended before it was looked for, and to kill(2) that is our own process group.
          if (pid > 0) process.kill(pid, signal)
        } catch (error) {
          if (errnoOf(error) !== 'ESRCH') throw error // it has ended already
        }
        return over
      },
      ended: over,
    }
  }
  const clientWords = (args: readonly string[]) => [CLIENT, '--host', `unix://${place}/docker.sock`, ...args]
  const client = (args: readonly string[]) => inside(clientWords(args))

  let service: Running | undefined
  let dockerd: Running | undefined
  let tap: Tap | undefined
  let other: { close(): void } | undefined
  const started = <T>(what: T | undefined): T => {
    if (what === undefined) throw new Error('it was not started')
    return what
  }
  const docker: Docker = {
    docker: async (...args) => (await client(args)).toString('utf8'),
    dockerWith: async (args, env, input = '') =>
      (await inside(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...clientWords(args)], { env, input })).toString(
        'utf8',
      ),
    inside: async (...args) => (await inside(args)).toString('utf8'),
    varve: async (...args) =>
      (await inside([process.execPath, CLI, '--root', root, ...args])).toString('utf8'),
    async startService(env = {}) {
      if ('own' in storage) throw new Error('dockerd is on its own here')
      const [driver, serve] =
        'varve' in storage
          ? [storage.varve, ['docker', ...(tapped || between ? ['--socket', tappedSocket] : [])]]
          : [storage.store, ['containerd', '--socket', snapshotterSocket(place)]]
      const args = ['--root', root, '--driver', driver, 'serve', ...serve, '--log-level', 'debug']
      service = await start(
        'varve',
        [process.execPath, CLI, ...args, '--ready-fd', '3'],
        (child) => once(child.stdio[3] as Readable, 'data'),
        env,
      )
      return service
    },
    async startDockerd(...more) {
      const driver = ['--storage-driver', 'own' in storage ? storage.own : 'varve']
      if ('varve' in storage) driver.push('--experimental')
      dockerd = await start(
        'dockerd',
        ['dockerd', ...driver, ...dockerdArguments(place, networks), ...more],
        () => client(['version']),
      )
      return dockerd
    },
    service: () => started(service),
    dockerd: () => started(dockerd),
    tap: () => started(tap),
    root,
  }
  try {
    await start('containerd', ['containerd', '--config', join(place, 'containerd.toml')], () =>
      command('test', ['-S', join(place, 'containerd.sock')]),
    )
    if (tapped || between) {
      const plugins = `/proc/${await initOf(world)}/root/run/docker/plugins`
      mkdirSync(plugins, { recursive: true })
      const sockets = { listen: join(plugins, 'varve.sock'), forward: tappedSocket }
      if (tapped) tap = await openTap(sockets)
      else other = await between?.(sockets)
    }
    if (!('own' in storage)) await docker.startService()
    await docker.startDockerd()
    return await use(docker)
  } catch (error) {
    const said = logs.map((file) => `${file}:\n${endOf(file)}`)
    throw new Error(said.join('\n'), { cause: error })
  } finally {
    tap?.close()
    other?.close()
    const init = childOf(world.pid ?? 0)
    world.kill('SIGKILL')
    await end
    // The first process of the world is the last to go; its files are open until then.
    await until('the world has ended', async () => {
      if (init !== '' && existsSync(`/proc/${init}`)) throw new Error(`process ${init} is there`)
    })
    await removeGroup(place)
  }
}

function snapshotterSocket(place: string): string {
  return `${place}/snapshots.sock`
}

function snapshotterConfig(place: string): string {
  return `[proxy_plugins.varve]\n  type = "snapshot"\n  address = "${snapshotterSocket(place)}"\n`
}

/** What matters of a log. */
function endOf(file: string): string {
  if (!existsSync(file)) return 'none'
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .filter((line) => !/Registering |loading plugin|Calling /.test(line))
    .join('\n')
    .slice(-5000)
}

async function initOf(world: ChildProcess): Promise<string> {
  return until('the world is there', async () => {
    const init = childOf(world.pid ?? 0)
    // Until then it is the shell that prepares the world.
    if (init === '' || readFileSync(`/proc/${init}/comm`, 'utf8').trim() !== 'sleep')
      throw new Error('not yet')
    return init
  })
}

/** The only child of a process; empty where it has none. */
function childOf(pid: number): string {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? (readFileSync(file, 'utf8').trim().split(' ')[0] ?? '') : ''
}

function environment(place: string): Readonly<Record<string, string>> {
  return { TMPDIR: join(place, 'tmp'), DOCKER_CONFIG: join(place, 'config'), DOCKER_BUILDKIT: '0' }
}

function dockerdArguments(place: string, networks: DockerOptions['networks']): readonly string[] {
  return [
    ...[
      '--config-file',
      `${place}/daemon.json`,
      '--data-root',
      `${place}/data`,
      '--exec-root',
      `${place}/exec`,
    ],
    ...['--pidfile', `${place}/dockerd.pid`, '--host', `unix://${place}/docker.sock`],
    ...['--containerd', `${place}/containerd.sock`, '--debug'],
    ...['--cgroup-parent', `/${groupOf(place)}`],
    ...['--bridge=none', '--ip6tables=false', ...(networks ?? ['--iptables=false'])],
  ]
}
