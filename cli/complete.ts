/** `varve __complete WORD…`: the candidates for the last word. The shells' completion scripts call it. */
import { existsSync } from 'node:fs'
import type { Options } from 'yargs'
import { UNSEEN } from '../core/face/command.js'
import { openStore, type Store } from '../core/store.js'
import type { Command, Completes, Completion } from './args/command.js'
import { type Environment, globalOptions, readGlobal } from './args/options.js'
import { commands, type Entry } from './registry.js'

/** Candidates that come from the store and the drivers; read only when the word needs them. */
export interface Sources {
  store(global: ReturnType<typeof readGlobal>): Promise<Store | undefined>
  drivers(): Promise<readonly string[]>
}

export const FILES = ':files'

/** Candidates that start with the last word, sorted; or `:files`. Never fails: on an error there are no candidates. */
export async function complete(
  words: readonly string[],
  env: Environment,
  sources: Sources = realSources,
): Promise<readonly string[]> {
  const typed = words.at(-1) ?? ''
  // A shell that completes can't show a message; the command itself will.
  const candidates = await candidatesFor(words.slice(0, -1), typed, env, sources).catch(() => [])
  if (candidates.length === 1 && candidates[0] === FILES) return candidates
  const isOffered = (candidate: string) => candidate.startsWith(typed) && !UNSEEN.test(candidate)
  return [...new Set(candidates.filter(isOffered))].sort()
}

type Described = Options & Completion

async function candidatesFor(
  before: readonly string[],
  typed: string,
  env: Environment,
  sources: Sources,
): Promise<readonly string[]> {
  const line = await readLine(before)
  const lookUp = { sources, global: () => readGlobal(line.values, env) }
  const inWord = /^(--[^=]+)=/.exec(typed)
  if (inWord?.[1] !== undefined) {
    const option = line.options.get(inWord[1])
    const values = option === undefined ? [] : await valuesOf(option, lookUp)
    return values.filter((value) => value !== FILES).map((value) => `${inWord[1]}=${value}`)
  }
  if (line.awaiting !== undefined) return valuesOf(line.awaiting, lookUp)
  if (typed.startsWith('-')) return [...line.options.keys(), '--help']
  if (line.command === undefined) return commands.map((entry) => entry.name)
  const positionals = Object.values(line.command.positionals)
  const next: Described | undefined = positionals[Math.min(line.positionals, positionals.length - 1)]
  const more = line.positionals < positionals.length || next?.array === true
  return next === undefined || !more ? [] : valuesOf(next, lookUp)
}

interface Line {
  readonly command: Command | undefined
  /** How many positionals there are already. */
  readonly positionals: number
  readonly options: ReadonlyMap<string, Described>
  /** The option whose value comes next. */
  readonly awaiting: Described | undefined
  readonly values: Readonly<Record<string, unknown>>
}

async function readLine(words: readonly string[]): Promise<Line> {
  let command: Command | undefined
  let positionals = 0
  let options = named(globalOptions)
  let awaiting: Described | undefined
  let key = ''
  const values: Record<string, unknown> = {}
  for (const word of words) {
    if (awaiting !== undefined) {
      values[key] = word
      awaiting = undefined
    } else if (word.startsWith('-') && word !== '-') {
      const [option = '', value] = word.split(/=(.*)/s)
      key = option.replace(/^--?/, '')
      const known = options.get(option)
      if (value !== undefined) values[key] = value
      else if (known !== undefined && known.type !== 'boolean') awaiting = known
    } else if (command === undefined) {
      const entry: Entry | undefined = commands.find(({ name }) => name === word)
      if (entry === undefined) continue
      command = (await entry.load()).command
      options = named({ ...globalOptions, ...command.options })
    } else positionals += 1
  }
  return { command, positionals, options, awaiting, values }
}

function named(options: Readonly<Record<string, Described>>): Map<string, Described> {
  const map = new Map<string, Described>()
  for (const [key, option] of Object.entries(options)) {
    map.set(`--${key}`, option)
    if (typeof option.alias === 'string') map.set(`-${option.alias}`, option)
  }
  return map
}

interface LookUp {
  readonly sources: Sources
  global(): ReturnType<typeof readGlobal>
}

async function valuesOf(option: Described, { sources, global }: LookUp): Promise<readonly string[]> {
  if (option.choices !== undefined) return option.choices.map(String)
  const { completes } = option
  if (completes === undefined) return []
  if (completes === 'file') return [FILES]
  if (completes === 'driver') return sources.drivers()
  const store = await sources.store(global())
  if (store === undefined) return []
  try {
    return fromStore(store, completes)
  } finally {
    await store.close()
  }
}

function fromStore(store: Store, completes: Exclude<Completes, 'file' | 'driver'>): readonly string[] {
  const images = store.images().flatMap((image) => image.names)
  const writable = store.layers().filter((layer) => layer.kind !== 'committed')
  const byImage = store
    .images()
    .flatMap((image) => image.names.flatMap((name) => image.layers.map((_, i) => `${name}#${i}`)))
  const ids = writable.flatMap((layer) => (layer.names.length === 0 ? [layer.id] : layer.names))
  if (completes === 'image') return images
  if (completes === 'writable') return ids
  return completes === 'layer' ? byImage : [...images, ...ids, ...byImage]
}

const realSources: Sources = {
  /** Completion must not create a missing root. */
  async store(global) {
    if (!existsSync(global.root)) return undefined
    const { drivers } = await import('../drivers/all.js')
    const driver = global.driver === undefined ? {} : { driver: global.driver }
    return openStore({ root: global.root, drivers, storageOptions: global.storageOptions, ...driver })
  },
  async drivers() {
    const { drivers } = await import('../drivers/all.js')
    return drivers.map((driver) => driver.name)
  },
}
