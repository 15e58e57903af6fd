/** The report of the benchmarks for people: targets and results. */
import type { Measured } from './measure.js'

/** A line of the report: ours against theirs, or ours alone where `theirs` is missing. */
export interface Row {
  readonly what: string
  readonly ours: Measured
  readonly theirs?: Measured
  /** The highest wanted ratio, or the most seconds where there is nothing to compare with; undefined: no target. */
  readonly target?: number
}

/** @throws Error where one of the two was not measured */
export function row(
  what: string,
  ours: Measured | undefined,
  theirs: Measured | undefined,
  target?: number,
): Row {
  if (ours === undefined || theirs === undefined) throw new Error(`${what} was not measured`)
  return { what, ours, theirs, ...(target === undefined ? {} : { target }) }
}

/** `seconds`: the target, at most. @throws Error where it was not measured */
export function timed(what: string, ours: Measured | undefined, seconds?: number): Row {
  if (ours === undefined) throw new Error(`${what} was not measured`)
  return { what, ours, ...(seconds === undefined ? {} : { target: seconds }) }
}

export function print(rows: readonly Row[]): void {
  for (const { what, ours, theirs, target } of rows) {
    const value = theirs === undefined ? ours.seconds : ours.seconds / theirs.seconds
    const say = theirs === undefined ? time : (ratio: number) => `${Number(ratio.toPrecision(3))} ×`
    const wanted = target === undefined ? '' : `, wanted at most ${say(target)}`
    console.log(`${markOf(value, target)} ${what}: ${say(value)}${wanted}`)
    if (theirs !== undefined)
      console.log(`    ${ours.name} ${time(ours.seconds)}, ${theirs.name} ${time(theirs.seconds)}`)
  }
}

export function printMemory(rows: readonly Row[], mib: number): void {
  const peak = Math.max(...rows.map(({ ours }) => ours.peakMib ?? 0))
  console.log(
    `${markOf(peak, mib)} highest memory of any varve command: ${peak.toFixed(0)} MiB, wanted at most ${mib}`,
  )
}

function markOf(value: number, target: number | undefined): string {
  if (target === undefined) return ' '
  return value <= target ? '✔' : '✖'
}

function time(seconds: number): string {
  return seconds < 0.1 ? `${(seconds * 1000).toPrecision(2)} ms` : `${seconds.toFixed(2)} s`
}
