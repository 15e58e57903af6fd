/**
 * A world (fixtures/world.ts) for an engine and all that belongs to it. The processes in it are started one by one, so that
 * each can be ended, killed and restarted.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from '../../core/errors.js'
import { type CommandOptions, commandBytes, ended, searchPath } from '../../fixtures/command.js'
import { type OtherSystem, startWorld } from '../../fixtures/world.js'
import { until } from './until.js'

export interface EngineWorldOptions {
  /** An existing directory, for the logs. */
  readonly place: string
  /** For every process in the world, in addition to this process's environment. */
  readonly env: Readonly<Record<string, string>>
  /** Does it have its own network and host name? Otherwise it has the host's. */
  readonly hasNetwork: boolean
  /** The system to run on; default: the host. */
  readonly system: OtherSystem | undefined
}

/** A process of the world. */
export interface Running {
  /** 0 where the process ended before its pid was known. */
  readonly pid: number
  /** The exit status, or 128 and the signal's number. */
  end(signal: NodeJS.Signals): Promise<number | string>
  readonly ended: Promise<number | string>
}

export interface StartOptions {
  /** Retried until it succeeds. The child has a pipe as descriptor 3. */
  answers(child: ChildProcess): Promise<unknown>
  readonly env?: Readonly<Record<string, string>>
}

export interface EngineWorld {
  /** Runs a command in the world. Resolves to its standard output. */
  inside(args: readonly string[], options?: CommandOptions): Promise<Buffer>
  /** Starts a daemon; its output is appended to NAME.log. @throws Error where it ends before it answers */
  start(name: string, args: readonly string[], options: StartOptions): Promise<Running>
  /** The process that was started last under this name. */
  running(name: string): Running
  /** The path of its root directory for this process. */
  root(): Promise<string>
  /** Ends all that was started in it. */
  end(): Promise<void>
}

/** Creates the world's own network and host name, and enters them. */
const NETWORK = {
  start: ['unshare', '--net', '--uts', '/bin/sh', '-ec', 'ip link set lo up; hostname own; exec "$@"', 'own'],
  enter: ['--net', '--uts'],
}
const STAY = ['/bin/sh', '-c', 'exec sleep infinity']

/** Needs root. */
export function openEngineWorld({ place, env, hasNetwork, system }: EngineWorldOptions): EngineWorld {
  const network = hasNetwork ? NETWORK : { start: [], enter: [] }
  const world = startWorld([...network.start, ...STAY], {}, system)
  const over = ended(world)
  const running = new Map<string, Running>()
  const enter = async (args: readonly string[]) => {
    const target = ['--target', `${await initOf(world)}`, '--mount', '--pid', ...network.enter]
    return [...target, '--', ...args]
  }
  return {
    inside: async (args, options = {}) =>
      commandBytes('nsenter', await enter(args), { ...options, env: { ...env, ...options.env } }),
    async start(name, args, options) {
      const child = spawnLogged(await enter(args), {
        log: join(place, `${name}.log`),
        env: { ...env, ...options.env },
      })
      const started = await answered(child, name, options.answers)
      running.set(name, started)
      return started
    },
    running(name) {
      const found = running.get(name)
      if (found === undefined) throw new Error(`${name} was not started`)
      return found
    },
    root: async () => `/proc/${await initOf(world)}/root`,
    end: () => endWorld(world, over),
  }
}

/** Ends all that was started in a world (fixtures/world.ts); `over` resolves when the world has ended. */
export async function endWorld(world: ChildProcess, over: Promise<unknown>): Promise<void> {
  const [init] = childrenOf(world.pid ?? 0)
  world.kill('SIGKILL')
  await over
  // The world's first process ends last; its files stay open until then.
  await until('the world has ended', async () => {
    if (init !== undefined && existsSync(`/proc/${init}`)) throw new Error(`process ${init} is there`)
  })
}

function spawnLogged(
  words: readonly string[],
  options: { readonly log: string; readonly env: Readonly<Record<string, string>> },
): ChildProcess {
  const log = openSync(options.log, 'a')
  const child = spawn('nsenter', words, {
    stdio: ['ignore', log, log, 'pipe'],
    env: { ...process.env, PATH: searchPath(), ...options.env },
  })
  closeSync(log)
  return child
}

/** Waits until it answers. `child` is nsenter, which ends with the status of the process it started. */
async function answered(
  child: ChildProcess,
  name: string,
  answers: StartOptions['answers'],
): Promise<Running> {
  const over = ended(child)
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  await until(`${name} answers`, async () => {
    if (!isOver()) await Promise.race([answers(child), over])
  })
  if (isOver()) throw new Error(`${name} has ended: ${await over}`)
  const [pid = 0] = childrenOf(child.pid ?? 0)
  return {
    pid,
    async end(signal) {
      try {
        // To kill(2), 0 is the caller's own process group.
        if (pid > 0) process.kill(pid, signal)
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') throw error // it has ended already
      }
      return over
    },
    ended: over,
  }
}

/** The first process of the world. */
async function initOf(world: ChildProcess): Promise<number> {
  return until('the world is there', async () => {
    const [init] = childrenOf(world.pid ?? 0)
    // Before that, it is the shell that prepares the world.
    if (init === undefined || readFileSync(`/proc/${init}/comm`, 'utf8').trim() !== 'sleep')
      throw new Error('not yet')
    return init
  })
}

/** The children of a process's first thread; none where it has ended. */
export function childrenOf(pid: number): readonly number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : []
}
