/** A real dockerd on varve, with its containerd and the service, in its own world. */
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { command } from '../../../fixtures/command.js'
import type { OtherSystem } from '../../../fixtures/world.js'
import { CLI } from '../../support/varve.js'
import { removeGroup } from '../cgroups.js'
import { type EngineWorld, openEngineWorld, type Running } from '../engine-world.js'
import type { Sockets } from '../tap.js'
import {
  clientWords,
  containerdSocket,
  containerdWords,
  type DockerConfig,
  dockerdWords,
  environmentOf,
  rootOf,
  serviceWords,
  writeConfig,
} from './config.js'

export const DOCKERD_COMMANDS = ['dockerd', 'containerd', 'runc', 'docker', 'setpriv', 'unshare', 'nsenter']

export interface DockerOptions extends DockerConfig {
  /** The system whose engines they are (fixtures/newest.ts); default: the host. */
  readonly system?: OtherSystem
  /** Opens a proxy between dockerd and the service; all their traffic goes through it. */
  between?(sockets: Sockets): Promise<{ close(): void }>
}

export interface Docker {
  /** Runs the client. Resolves to its standard output. */
  docker(...args: readonly string[]): Promise<string>
  /** The same with an environment. Resolves to standard error too. */
  dockerWith(args: readonly string[], env: Readonly<Record<string, string>>, input?: string): Promise<string>
  /** Runs `varve` as an admin would, beside the service. Resolves to its standard output. */
  varve(...args: readonly string[]): Promise<string>
  /** Runs any command in the world. Resolves to its standard output. */
  inside(...args: readonly string[]): Promise<string>
  startService(env?: Readonly<Record<string, string>>): Promise<Running>
  /** `args`: additional arguments. */
  startDockerd(...args: readonly string[]): Promise<Running>
  /** The service that was started last. */
  service(): Running
  dockerd(): Running
  /** The root of the store. */
  readonly root: string
}

/** Starts everything, runs `use`, and ends everything with all child processes. An error includes the logs. Needs root. */
export async function withDockerd<T>(
  options: DockerOptions,
  use: (docker: Docker) => Promise<T>,
): Promise<T> {
  const { place, storage, system, networks } = options
  writeConfig(options)
  const world = openEngineWorld({
    place,
    env: environmentOf(options),
    hasNetwork: networks !== undefined,
    system,
  })
  let between: { close(): void } | undefined
  try {
    await world.start('containerd', containerdWords(options), {
      answers: () => command('test', ['-S', containerdSocket(options)]),
    })
    between = await options.between?.({ listen: await pluginSocket(world), forward: forwardSocket(place) })
    const docker = dockerIn(world, options)
    if (!('own' in storage)) await docker.startService()
    await docker.startDockerd()
    return await use(docker)
  } catch (error) {
    throw new Error(logsOf(place), { cause: error })
  } finally {
    between?.close()
    await world.end()
    await removeGroup(place)
  }
}

function dockerIn(world: EngineWorld, options: DockerOptions): Docker {
  const root = rootOf(options)
  const run = async (...[args, more]: Parameters<EngineWorld['inside']>) =>
    (await world.inside(args, more)).toString('utf8')
  const client = clientWords(options)
  return {
    root,
    docker: (...args) => run([...client, ...args]),
    dockerWith: (args, env, input = '') =>
      run(['sh', '-c', 'exec "$@" 2>&1', 'sh', ...client, ...args], { env, input }),
    varve: (...args) => run([process.execPath, CLI, '--root', root, ...args]),
    inside: (...args) => run(args),
    async startService(env = {}) {
      const socket = options.between && forwardSocket(options.place)
      return world.start('varve', serviceWords(options, socket), {
        answers: (child) => once(child.stdio[3] as Readable, 'data'),
        env,
      })
    },
    startDockerd: (...more) =>
      world.start('dockerd', [...dockerdWords(options), ...more], {
        answers: () => run([...client, 'version']),
      }),
    service: () => world.running('varve'),
    dockerd: () => world.running('dockerd'),
  }
}

/** The path, from outside the world, at which dockerd looks for the plug-in. */
async function pluginSocket(world: EngineWorld): Promise<string> {
  const plugins = join(await world.root(), 'run/docker/plugins')
  mkdirSync(plugins, { recursive: true })
  return join(plugins, 'varve.sock')
}

/** The service's socket when there is a proxy between. */
function forwardSocket(place: string): string {
  return join(place, 'varve.sock')
}

function logsOf(place: string): string {
  const files = ['containerd', 'varve', 'dockerd'].map((name) => join(place, `${name}.log`))
  return files.map((file) => `${file}:\n${endOf(file)}`).join('\n')
}

/** The end of a log, without the noisy lines. */
function endOf(file: string): string {
  if (!existsSync(file)) return 'none'
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .filter((line) => !/Registering |loading plugin|Calling /.test(line))
    .join('\n')
    .slice(-5000)
}
