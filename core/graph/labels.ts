/** Labels of a layer, as they come from outside. */
import { VarveError } from '../errors.js'

/** Key and value together, in bytes of UTF-8; containerd's limit, so that its labels fit and ours fit there. */
const MAX_SIZE = 4096

/** Which engine made the layer, where that was not the admin. */
export const ENGINE = 'varve.engine'
/** Which engine has ids for a layer that somebody else made (by an admin's import, say). */
export const SHARED = 'varve.engine.shared'
/** In which of that engine's runs the layer was made: GraphDriver.begin counts them. */
export const RUN = 'varve.engine.run'
/** The backend's options that a writable layer was made with: `key=value`, sorted, a line each. */
export const OPTIONS = 'varve.options'
/** When the layer was made again, empty, since its directory was missing after a boot (core/recover/remake.ts); ISO time. */
export const REMADE = 'varve.remade'

/** When the layer was found in the driver, unknown to the database, and taken up by a repair; ISO time. */
export const FOUND = 'varve.found'

/** The engine that the ids of a layer belong to; undefined where they are the admin's. */
export function engineOf(labels: Readonly<Record<string, string>>): string | undefined {
  return labels[ENGINE] ?? labels[SHARED]
}

/** The label {@link OPTIONS}; none where there are no options. */
export function optionsLabel(
  options: ReadonlyMap<string, string> = new Map(),
): Readonly<Record<string, string>> {
  const lines = [...options].map(([key, value]) => `${key}=${value}`)
  return lines.length === 0 ? {} : { [OPTIONS]: lines.sort().join('\n') }
}

/** The options that {@link optionsLabel} was given. */
export function optionsOf(labels: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  const lines = labels[OPTIONS]?.split('\n') ?? []
  return new Map(
    lines.map((line) => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1)]
    }),
  )
}

/** Parses StoreOptions.engine. @throws VarveError INVALID_ARGUMENT */
export function parseEngine(engine = 'library'): string {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/.test(engine)) return engine
  throw new VarveError(
    'INVALID_ARGUMENT',
    `engine ${JSON.stringify(engine.slice(0, 100))}: want 1 to 63 of a-z 0-9 . _ -, a letter or digit first`,
  )
}

/** @throws VarveError INVALID_ARGUMENT */
export function parseLabels(labels: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => parseLabel(key, value)))
}

function parseLabel(key: string, value: unknown): readonly [key: string, value: string] {
  const refuse = (why: string) =>
    new VarveError('INVALID_ARGUMENT', `label ${JSON.stringify(key.slice(0, 300))}: ${why}`)
  if (key === '') throw refuse('a label needs a key')
  if (typeof value !== 'string') throw refuse(`its value is of type ${typeof value}, want a string`)
  const size = Buffer.byteLength(key) + Buffer.byteLength(value)
  if (size > MAX_SIZE) throw refuse(`key and value have ${size} bytes, at most ${MAX_SIZE} are allowed`)
  return [key, value]
}
