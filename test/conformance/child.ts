/** Processes that a case starts to be killed: each is a file here, which gets its job as JSON. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { DriverModule } from '../../core/driver.js'
import type { Cell } from './suite.js'

/** What the process needs to have the cell's driver. */
export interface DriverJob {
  readonly source: string
  readonly name: string
  readonly options: Readonly<Record<string, string>>
}

export interface Child {
  /** The next line that it prints. @throws Error where it ends before */
  line(): Promise<string>
  /** Kills it, and waits for its end. */
  kill(): Promise<void>
  /** The lines that nobody read, and whether it was killed, when it has ended. @throws Error where it failed */
  ended(): Promise<{ readonly lines: readonly string[]; readonly isKilled: boolean }>
}

export function driverJob({ module, options, source }: Cell): DriverJob {
  if (source === undefined)
    throw new Error(`the cell must tell where a process finds ${module.name} (source)`)
  return { source, name: module.name, options }
}

/** In the child: its job. */
export function readJob<T>(): T {
  return JSON.parse(process.argv[2] ?? '') as T
}

/** The module of that name, which `source` exports, alone or in a list. */
export async function loadModule({
  source,
  name,
}: Pick<DriverJob, 'source' | 'name'>): Promise<DriverModule> {
  const exported: unknown[] = Object.values(await import(source)).flat()
  const isIt = (each: unknown) =>
    typeof each === 'object' && each !== null && 'name' in each && each.name === name
  const module = exported.find(isIt)
  if (module === undefined) throw new Error(`no driver ${name} in ${source}`)
  return module as DriverModule
}

/** `main` is the compiled file's name. */
export function startChild(main: string, job: object): Child {
  const script = fileURLToPath(new URL(main, import.meta.url))
  const child = spawn(process.execPath, [script, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  closed.catch(() => {}) // `ended` gets the error
  let told = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    async line() {
      const { value, done } = await lines.next()
      if (done === true) throw new Error(`${main} ended: ${told}`)
      return value as string
    },
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
    async ended() {
      const rest: string[] = []
      for (let next = await lines.next(); next.done !== true; next = await lines.next()) rest.push(next.value)
      await closed
      const isKilled = child.signalCode === 'SIGKILL'
      if (!isKilled && child.exitCode !== 0) throw new Error(`${main}: ${told}`)
      return { lines: rest, isKilled }
    },
  }
}
