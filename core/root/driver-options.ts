/** Assigns `--storage-opt` words to the backends that they are for. */

import { didYouMean } from '../did-you-mean.js'
import type { DriverModule } from '../driver.js'
import { VarveError } from '../errors.js'

/**
 * The options meant for `module`: `KEY=VALUE` with a key of its own, or `NAME.KEY=VALUE`. Those that name another backend
 * are left out; of equal keys the last one counts.
 * @throws VarveError INVALID_ARGUMENT for a word without `=`, or a key no backend has
 */
export function optionsFor(
  module: DriverModule,
  modules: readonly DriverModule[],
  words: readonly string[],
): ReadonlyMap<string, string> {
  const options = new Map<string, string>()
  for (const word of words) {
    const at = word.indexOf('=')
    if (at <= 0) throw invalid(word, 'want KEY=VALUE or DRIVER.KEY=VALUE')
    const [key, value] = [word.slice(0, at), word.slice(at + 1)]
    const own = ownKey(module, key)
    if (own !== undefined) options.set(own, value)
    else if (!isForAnother(module, modules, key)) throw unknown(module, modules, word, key)
  }
  return options
}

/** A key may hold dots itself (`dm.basesize`), so the whole word is tried first. */
function ownKey(module: DriverModule, key: string): string | undefined {
  const has = (name: string) => module.options.some((option) => option.key === name)
  if (has(key)) return key
  const prefix = `${module.name}.`
  const rest = key.startsWith(prefix) ? key.slice(prefix.length) : undefined
  return rest !== undefined && has(rest) ? rest : undefined
}

/** `btrfs.x=1` is not a mistake where overlay was chosen, if btrfs has an `x`; a bare key must be the chosen backend's. */
function isForAnother(module: DriverModule, modules: readonly DriverModule[], key: string): boolean {
  return modules.some(
    (other) => other !== module && key.startsWith(`${other.name}.`) && ownKey(other, key) !== undefined,
  )
}

function unknown(
  module: DriverModule,
  modules: readonly DriverModule[],
  word: string,
  key: string,
): VarveError {
  const keys = module.options.map((option) => option.key)
  const candidates = key.includes('.')
    ? modules.flatMap((each) => each.options.map((option) => `${each.name}.${option.key}`))
    : keys
  const near = didYouMean(key, [...candidates, ...keys])
  const known = keys.length === 0 ? 'it has none' : `it has ${keys.join(', ')}`
  return invalid(word, `driver ${module.name} has no option ${JSON.stringify(key)}${near || `; ${known}`}`)
}

function invalid(word: string, why: string): VarveError {
  const key = word.replace(/=.*$/s, '') // the value may be a secret
  return new VarveError('INVALID_ARGUMENT', `storage option ${JSON.stringify(key)}: ${why}`)
}
