/** The options that every command takes, and helpers for a command's own options. */
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Options } from 'yargs'
import { didYouMean } from '../../core/face/command.js'
import { VarveError } from '../../core/store.js'
import type { Completion, GlobalOptions } from './command.js'

export const globalOptions = {
  root: {
    type: 'string',
    requiresArg: true,
    describe: 'The data root (VARVE_ROOT)',
    defaultDescription: defaultRoot(),
    completes: 'file',
  },
  driver: {
    type: 'string',
    requiresArg: true,
    describe: "The backend (VARVE_DRIVER); default: the root's own, else the best that works here",
    completes: 'driver',
  },
  'storage-opt': {
    type: 'string',
    array: true,
    requiresArg: true,
    describe: 'KEY=VALUE for the backend; repeatable',
  },
  json: { type: 'boolean', describe: 'JSON output: one value, or a line for each item of a list' },
  quiet: { type: 'boolean', alias: 'q', describe: 'Ids only, no progress, no warnings' },
} as const satisfies Readonly<Record<string, Options & Completion>>

/** How the help describes a TARGET, a LAYER and an IMAGE. */
export const TARGET = 'An image, a layer, or a writable layer'
export const LAYER = 'A chain or diff id, a unique prefix of one, or IMAGE#N counted from the base (0)'
export const IMAGE = 'name[:tag], or an id or a unique prefix of one'

export type Environment = Readonly<Record<string, string | undefined>>

/** Reads the global options: from the command line, else from the environment, else the default. */
export function readGlobal(args: Readonly<Record<string, unknown>>, env: Environment): GlobalOptions {
  const text = (key: string) => (typeof args[key] === 'string' ? args[key] : undefined)
  const root = text('root') ?? (env.VARVE_ROOT || defaultRoot(env))
  if (root === '') throw new VarveError('INVALID_ARGUMENT', '--root is empty: name the folder the data is in')
  const opts = args['storage-opt']
  return {
    root: resolve(root),
    driver: text('driver') ?? (env.VARVE_DRIVER || undefined),
    storageOptions: Array.isArray(opts) ? opts.map(String) : [],
    json: args.json === true,
    quiet: args.quiet === true,
  }
}

/** `/var/lib/varve`; for a user other than root, below XDG_DATA_HOME (ignored if relative, as basedir-spec says). */
export function defaultRoot(env: Environment = process.env, uid = process.getuid?.() ?? 0): string {
  if (uid === 0) return '/var/lib/varve'
  const data = env.XDG_DATA_HOME?.startsWith('/') ? env.XDG_DATA_HOME : join(homedir(), '.local/share')
  return join(data, 'varve')
}

/** An option or positional that takes one of `values`. The error for any other value suggests the nearest one. */
export function oneOf<const T extends string>(what: string, values: readonly T[]) {
  return {
    type: 'string',
    choices: values,
    requiresArg: true,
    coerce: (value: unknown): T | undefined => {
      if (value === undefined) return undefined
      const found = values.find((known) => known === value)
      if (found !== undefined) return found
      const text = String(value)
      const near = didYouMean(text, values) || `: it is one of ${values.join(', ')}`
      throw new VarveError('INVALID_ARGUMENT', `unknown ${what} '${text}'${near}`)
    },
  } as const
}

/** `KEY=VALUE` words as a map. @throws VarveError INVALID_ARGUMENT */
export function keyValues(option: string, words: readonly string[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>()
  for (const word of words) {
    const at = word.indexOf('=')
    if (at === 0) throw new VarveError('INVALID_ARGUMENT', `${option} '=…': want KEY=VALUE, the key is empty`)
    if (at < 0) throw new VarveError('INVALID_ARGUMENT', `${option} '${word}': want KEY=VALUE`)
    map.set(word.slice(0, at), word.slice(at + 1))
  }
  return map
}
