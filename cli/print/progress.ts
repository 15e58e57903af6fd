/** A progress line on standard error, if it is a terminal, for work that takes a while: how far, how fast, time left. */
import type { SingleBar } from 'cli-progress'
import type { Progress } from '../../core/store.js'
import { duration, size } from './format.js'
import { oneLine } from './printable.js'
import { pad } from './table.js'

export interface ProgressLine {
  report(progress: Progress): void
  /** Takes the line off the screen; the next report puts it back. */
  clear(): void
}

export interface ProgressOptions {
  /** Milliseconds, monotonic; tests pass their own clock. */
  readonly now?: () => number
  /** Work shorter than this shows nothing. */
  readonly delay?: number
}

const BAR_WIDTH = 24
/** The rate is the average over this many seconds. */
const WINDOW = 8

/** A line on `stream`, which must be a terminal. */
export async function openProgress(
  stream: NodeJS.WriteStream,
  options: ProgressOptions = {},
): Promise<ProgressLine> {
  const { now = () => performance.now(), delay = 300 } = options
  const { default: cliProgress } = await import('cli-progress')
  const began = now()
  let bar: SingleBar | undefined
  let latest: Progress | undefined
  let rate = rateMeter(now)
  const format = (_: unknown, params: { readonly maxWidth?: number }) =>
    latest === undefined
      ? ''
      : progressText(latest, rate.perSecond(), params.maxWidth ?? stream.columns ?? 80)
  return {
    report(progress) {
      if (progress.step !== latest?.step || progress.done < latest.done) rate = rateMeter(now)
      latest = progress
      rate.add(progress.done)
      if (bar !== undefined) return bar.update(progress.done)
      if (now() - began < delay) return
      bar = new cliProgress.SingleBar({ format, stream, clearOnComplete: true, gracefulExit: false })
      bar.start(progress.total ?? 0, progress.done)
    },
    clear() {
      bar?.stop()
      bar = undefined
    },
  }
}

/** `import layer 2/5 1a2b3c4d  [=====>     ]  42%  12.3 MiB / 29.1 MiB  40.2 MiB/s  3s left`, cut to `width`. */
export function progressText(progress: Progress, perSecond: number | undefined, width: number): string {
  const { done, total, unit } = progress
  const amount = (value: number) => (unit === 'bytes' ? size(value) : String(Math.round(value)))
  const parts: string[] = []
  if (total !== undefined && total > 0) {
    const share = Math.min(1, done / total)
    const filled = Math.round(share * BAR_WIDTH)
    const head = filled < BAR_WIDTH ? '>' : ''
    parts.push(`[${pad('='.repeat(filled) + head, BAR_WIDTH, 'left').slice(0, BAR_WIDTH)}]`)
    parts.push(`${String(Math.floor(share * 100)).padStart(3)}%`)
  }
  const things = unit === 'bytes' ? '' : ` ${unit}`
  parts.push(`${amount(done)}${total === undefined ? '' : ` / ${amount(total)}`}${things}`)
  if (perSecond !== undefined && perSecond > 0) {
    parts.push(unit === 'bytes' ? `${size(Math.round(perSecond))}/s` : `${perSecond.toFixed(0)} ${unit}/s`)
    if (total !== undefined && done < total) parts.push(`${duration((total - done) / perSecond)} left`)
  }
  const figures = parts.join('  ')
  const room = width - figures.length - 3
  const told = oneLine(progress.step)
  const step = told.length <= room ? told : `${told.slice(0, Math.max(0, room - 1))}…`
  return room < 4 ? figures.slice(0, Math.max(0, width - 1)) : `${step}  ${figures}`
}

function rateMeter(now: () => number) {
  const samples: { at: number; done: number }[] = []
  return {
    add(done: number) {
      samples.push({ at: now(), done })
      while (samples.length > 2 && now() - (samples[0]?.at ?? 0) > WINDOW * 1000) samples.shift()
    },
    /** Undefined until there are samples over half a second. */
    perSecond(): number | undefined {
      const first = samples[0]
      const last = samples.at(-1)
      if (first === undefined || last === undefined || last.at - first.at < 500) return undefined
      return ((last.done - first.done) * 1000) / (last.at - first.at)
    },
  }
}
