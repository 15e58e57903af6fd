/**
 * Which backend a root uses: a name that was asked for, else the one the root was made with, else the first by priority
 * that a probe finds supported. A root keeps its backend for life: another one would not see its layers.
 */

import type { DriverVerdict } from '../api/store.js'
import { didYouMean } from '../did-you-mean.js'
import type { DriverModule, Probe } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import { holdersIn } from '../records/gone.js'
import { optionsFor } from './driver-options.js'

export interface SelectOptions {
  /** The data root, text. */
  readonly root: string
  readonly drivers: readonly DriverModule[]
  /** Asked for by name. */
  readonly driver?: string | undefined
  readonly storageOptions: readonly string[]
  /** The backend that the database says the root was made with. */
  readonly prior: string | undefined
  /** An existing directory on the root's file system for test mounts, made when it is needed; byte string. */
  scratch(): string
}

export interface Selected {
  readonly module: DriverModule
  readonly options: ReadonlyMap<string, string>
}

/**
 * @throws VarveError INVALID_ARGUMENT (unknown driver or option), FAILED_PRECONDITION (the root belongs to another driver,
 * or the one asked for, or every one, does not work here; all reasons are in the message)
 */
export async function selectDriver(context: SelectOptions): Promise<Selected> {
  const { drivers, driver, prior, storageOptions } = context
  const asked = driver === undefined ? undefined : moduleNamed(drivers, driver)
  await refuseForeignState(context, prior ?? asked?.name)
  if (prior !== undefined) {
    const module = drivers.find((each) => each.name === prior)
    if (module === undefined) {
      throw new VarveError(
        'FAILED_PRECONDITION',
        `root ${context.root}: made with the driver ${prior}, which this varve does not have`,
      )
    }
    if (asked !== undefined && asked !== module) throw otherDriver(context.root, prior, asked.name)
    // Not probed: where it no longer works, its own error says why; another backend would be no help.
    return { module, options: optionsFor(module, drivers, storageOptions) }
  }
  if (asked !== undefined) {
    const options = optionsFor(asked, drivers, storageOptions)
    const { verdict, reason } = await asked.probe({ scratch: context.scratch(), options })
    if (verdict === 'supported') return { module: asked, options }
    throw new VarveError(
      'FAILED_PRECONDITION',
      `driver ${asked.name} can't be used in ${context.root}: ${verdict}: ${reason}`,
    )
  }
  return byPriority(context)
}

/** Every backend's verdict about the root, in the order of selection; `current` is the one it uses. */
export async function verdicts(
  context: SelectOptions,
  current: string | undefined,
): Promise<readonly DriverVerdict[]> {
  const found: DriverVerdict[] = []
  for (const module of inOrder(context.drivers)) {
    const probe = await probeQuietly(module, context)
    const hasState = module.name === context.prior || (await holdersIn(context.root, [module])).length > 0
    found.push({ name: module.name, priority: module.priority, ...probe, hasState, selected: false })
  }
  const selected = current ?? found.find((each) => each.verdict === 'supported')?.name
  return found.map((each) => ({ ...each, selected: each.name === selected }))
}

async function byPriority(context: SelectOptions): Promise<Selected> {
  const reasons: string[] = []
  for (const module of inOrder(context.drivers)) {
    const options = optionsOfAny(module, context)
    const { verdict, reason } = await module.probe({ scratch: context.scratch(), options })
    if (verdict === 'supported') {
      return { module, options: optionsFor(module, context.drivers, context.storageOptions) }
    }
    reasons.push(`  ${module.name}: ${verdict}: ${reason}`)
  }
  throw new VarveError(
    'FAILED_PRECONDITION',
    `no storage driver can be used in ${context.root}:${reasons.length === 0 ? ' there are none' : ''}`,
    { more: reasons },
  )
}

/** The options for a probe in search of a backend: words that are not for it are ignored. */
function optionsOfAny(module: DriverModule, context: SelectOptions): ReadonlyMap<string, string> {
  const mine = context.storageOptions.flatMap((word) => {
    try {
      return [...optionsFor(module, context.drivers, [word])]
    } catch (error) {
      // INVALID_ARGUMENT: a word for another backend; the one that is chosen checks them all.
      if (error instanceof VarveError && error.code === 'INVALID_ARGUMENT') return []
      throw error
    }
  })
  return new Map(mine)
}

async function probeQuietly(module: DriverModule, context: SelectOptions): Promise<Probe> {
  try {
    return await module.probe({ scratch: context.scratch(), options: optionsOfAny(module, context) })
  } catch (error) {
    return { verdict: 'unsupported', reason: `the probe failed: ${messageOf(error)}`, facts: [] }
  }
}

/** @throws VarveError INVALID_ARGUMENT, with the nearest name */
export function moduleNamed(drivers: readonly DriverModule[], name: string): DriverModule {
  const module = drivers.find((each) => each.name === name)
  if (module !== undefined) return module
  const names = drivers.map((each) => each.name)
  const near = didYouMean(name, names) || `; there are ${names.join(', ')}`
  throw new VarveError('INVALID_ARGUMENT', `no such driver: ${JSON.stringify(name)}${near}`)
}

/**
 * Refuses layers of a backend that is not this root's: somebody lost a database, or mixed two roots.
 * @throws VarveError FAILED_PRECONDITION
 */
export async function refuseForeignState(
  context: Pick<SelectOptions, 'root' | 'drivers' | 'prior'>,
  mine: string | undefined,
): Promise<void> {
  const { root, prior } = context
  const holders = (await holdersIn(root, context.drivers)).map((each) => each.name)
  const others = holders.filter((name) => name !== mine)
  if (prior !== undefined && others.length > 0) {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `root ${root}: made with the driver ${prior}, but it also holds layers of ${others.join(', ')}; move them out of ${root}`,
    )
  }
  if (prior === undefined && holders.length > 0) {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `root ${root}: holds layers of ${holders.join(', ')}, but its database has no memory of them; put varve.db back from a ` +
        `backup, or remove ${holders.map((name) => `${root}/${name}`).join(', ')} to start anew`,
    )
  }
}

function otherDriver(root: string, prior: string, asked: string): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `root ${root}: made with the driver ${prior}, so ${asked} would see none of its layers; leave out --driver (or say ` +
      `--driver ${prior}), or use another --root and bring the images there with export and import`,
  )
}

function inOrder(drivers: readonly DriverModule[]): readonly DriverModule[] {
  return [...drivers].sort((a, b) => a.priority - b.priority)
}
