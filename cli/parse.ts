/** Parses the command line into a command and its arguments. yargs parses and writes help; this file adds strictness. */
import { createRequire } from 'node:module'
import type { Argv } from 'yargs'
import { didYouMean } from '../core/face/command.js'
import { VarveError } from '../core/store.js'
import type { Command } from './args/command.js'
import { globalOptions } from './args/options.js'
import { commands, type Entry } from './registry.js'

/** The CommonJS module: the other one breaks the lines of help within words. */
const yargs: () => Argv = createRequire(import.meta.url)('yargs/yargs')

export interface Invocation {
  readonly name: string
  readonly command: Command
  readonly args: Readonly<Record<string, unknown>>
}

export interface ParseOptions {
  readonly version: string
  /** Columns of help. */
  readonly width: number
  /** Help and the version go here. */
  readonly print: (text: string) => void
}

/** Undefined where help or the version was asked for, and printed. @throws VarveError INVALID_ARGUMENT */
export async function parse(
  words: readonly string[],
  options: ParseOptions,
): Promise<Invocation | undefined> {
  let chosen: Invocation | undefined
  let called: Entry | undefined
  let declared: OptionsByName = {}
  const parser = yargs()
    .scriptName('varve')
    .usage(
      'Keeps image layers and writable layers, by the best means that the file system has.\n\nUsage: $0 [options] COMMAND',
    )
    .locale('en')
    .exitProcess(false)
    .wrap(options.width)
    .help()
    .version(options.version)
    .updateStrings(WORDING)
    .parserConfiguration(PARSER)
    .options(globalOptions)
    .fail((message, error) => {
      refuseUnknownWords(words, called, declared)
      throw usageError(called, error ?? message)
    })
    .epilogue('varve COMMAND --help shows a command with examples. VARVE_DEBUG=1 shows stacks of errors.')
  for (const entry of commands) {
    let command: Command | undefined
    parser.command(
      `${entry.name} ${entry.positionals}`.trim(),
      entry.summary,
      // A builder's declared type allows no Promise<void>.
      async (argv: Argv) => {
        called = entry
        command = (await entry.load()).command
        declared = command.options
        return declare(argv, entry, command)
      },
      (args) => {
        if (command !== undefined) chosen = { name: entry.name, command, args }
      },
    )
  }
  const args = await parsed(parser, words, options.print).catch((error: unknown) => {
    // Once a command's module is loaded, errors arrive as rejections instead of through `fail`. An unknown option is
    // reported first, since it may cause the other error: in `ls --recursve x`, yargs takes x for the option's value and
    // finds the target missing.
    refuseUnknownWords(words, called, declared)
    throw error instanceof Error && error.name === 'YError' ? usageError(called, error) : error
  })
  if (args.help === true || args.version === true) return undefined
  if (chosen === undefined) {
    refuseUnknownOptions(undefined, args, {})
    throw noCommand(args)
  }
  refuseUnknownOptions(called, chosen.args, { ...chosen.command.options, ...chosen.command.positionals })
  refuseExtraWords(called, chosen.args)
  return { ...chosen, args: unmask(lastOfRepeated(chosen.args, chosen.command)) }
}

/** `usage: varve ls <target> [path]` */
function usageLine(entry: Entry): string {
  return `usage: varve ${entry.name} ${entry.positionals} [options]`.replace('  ', ' ')
}

const MISSING = 'arguments are missing: %s given, %s needed'

/** Better wording for yargs' messages. Its type lacks messages with a singular and a plural, hence the cast. */
const WORDING = {
  'Not enough non-option arguments: got %s, need at least %s': { one: MISSING, other: MISSING },
  'Not enough arguments following: %s': 'option --%s needs a value',
  'Positionals:': 'Arguments:',
} as unknown as Record<string, string>

const PARSER = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'populate--': false,
  'strip-aliased': true,
}

async function parsed(
  parser: Argv,
  words: readonly string[],
  print: (text: string) => void,
): Promise<Readonly<Record<string, unknown>>> {
  return parser.parseAsync(mask(words), {}, (_, __, output) => {
    if (output !== '') print(`${output}\n`)
  })
}

function declare(argv: Argv, entry: Entry, command: Command): Argv {
  argv.usage(`${entry.summary}\n\nUsage: $0 ${entry.name} ${entry.positionals} [options]`.replace('  ', ' '))
  for (const [key, positional] of Object.entries(command.positionals)) argv.positional(key, positional)
  argv.options(command.options)
  if (Object.keys(command.options).length > 0) argv.group(Object.keys(command.options), 'Options:')
  argv.group(Object.keys(globalOptions).concat('help', 'version'), 'Everywhere:')
  for (const { line, does } of command.examples) argv.example(`$0 ${line}`, does)
  return argv.epilogue('')
}

function usageError(entry: Entry | undefined, problem: string | Error): VarveError {
  if (problem instanceof VarveError) return problem
  const text = problem instanceof Error ? problem.message : problem
  const where = entry === undefined ? '' : `${entry.name}: `
  const more = entry === undefined ? [] : [usageLine(entry)]
  return new VarveError('INVALID_ARGUMENT', `${where}${text}`, { cause: problem, more })
}

function noCommand(args: Readonly<Record<string, unknown>>): VarveError {
  const word = Array.isArray(args._) && args._.length > 0 ? String(args._[0]) : undefined
  if (word === undefined) {
    return new VarveError('INVALID_ARGUMENT', 'no command', {
      more: ['usage: varve [options] COMMAND (varve --help lists them)'],
    })
  }
  const near = didYouMean(
    word,
    commands.map((entry) => entry.name),
  )
  return new VarveError('INVALID_ARGUMENT', `unknown command '${word}'${near || ': varve --help lists them'}`)
}

type OptionsByName = Readonly<
  Record<
    string,
    { readonly alias?: string | readonly string[] | undefined; readonly type?: string | undefined }
  >
>

/** Refuses unknown options among the raw words, before yargs takes the words after them for their values. */
function refuseUnknownWords(words: readonly string[], entry: Entry | undefined, own: OptionsByName): void {
  const options = Object.entries<OptionsByName[string]>({ ...globalOptions, ...own })
  const takesValue = options
    .filter(([, option]) => option.type !== 'boolean')
    .flatMap(([key, option]) => [key, option.alias ?? []].flat())
    .map((key) => (key.length === 1 ? `-${key}` : `--${key}`))
  const typed: Record<string, true> = {}
  for (let at = 0; at < words.length && words[at] !== '--'; at++) {
    const word = words[at] ?? ''
    if (takesValue.includes(word)) at++
    else if (word.startsWith('--')) typed[word.slice(2).replace(/=.*$/s, '')] = true
    else if (/^-[a-z]$/i.test(word)) typed[word.slice(1)] = true
  }
  refuseUnknownOptions(entry, typed, own)
}

function refuseUnknownOptions(
  entry: Entry | undefined,
  args: Readonly<Record<string, unknown>>,
  own: OptionsByName,
): void {
  const known = new Map(
    Object.entries<OptionsByName[string]>({ ...globalOptions, ...own, help: {}, version: {} }),
  )
  const names = [...known].flatMap(([key, option]) => [key, option.alias ?? []].flat())
  for (const key of Object.keys(args)) {
    if (key === '_' || key === '$0' || names.includes(key)) continue
    const typed = key.length === 1 ? `-${key}` : `--${key}`
    const near = didYouMean(typed, key.length === 1 ? [] : names.map((known) => `--${known}`))
    const where = entry === undefined ? '' : `${entry.name}: `
    const help = near === '' ? `; varve ${entry?.name ?? ''} --help lists them`.replace('  ', ' ') : ''
    throw new VarveError('INVALID_ARGUMENT', `${where}unknown option ${typed}${near}${help}`)
  }
}

function refuseExtraWords(entry: Entry | undefined, args: Readonly<Record<string, unknown>>): void {
  const words = Array.isArray(args._) ? args._.slice(1) : []
  if (entry === undefined || words.length === 0) return
  throw new VarveError('INVALID_ARGUMENT', `${entry.name}: one argument too many: '${String(words[0])}'`, {
    more: [usageLine(entry)],
  })
}

/**
 * Hides the leading dash of positionals (`-`, and every word after `--`) behind a NUL, which no word of a command line can
 * hold. yargs parses positionals a second time, as options, and would lose them.
 */
function mask(words: readonly string[]): string[] {
  const end = words.indexOf('--')
  const before = end < 0 ? words : words.slice(0, end)
  const after = end < 0 ? [] : words.slice(end + 1)
  return [...before.map((word) => (word === '-' ? `\0${word}` : word)), ...after.map((word) => `\0${word}`)]
}

function unmask(args: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const bare = (value: unknown) => (typeof value === 'string' ? value.replace(/^\0/, '') : value)
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => [key, Array.isArray(value) ? value.map(bare) : bare(value)]),
  )
}

/** `--root a --root b`: the last value wins, except for options that take a list. */
function lastOfRepeated(args: Readonly<Record<string, unknown>>, command: Command) {
  const all: Readonly<Record<string, object>> = {
    ...globalOptions,
    ...command.options,
    ...command.positionals,
  }
  return Object.fromEntries(
    Object.entries(args).map(([key, value]) => {
      const option = all[key]
      const list = option !== undefined && 'array' in option && option.array === true
      return [key, Array.isArray(value) && !list && key !== '_' ? value.at(-1) : value]
    }),
  )
}
