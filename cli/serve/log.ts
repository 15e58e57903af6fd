/**
 * The log of a service, on standard error: a line of text or, with `--json`, of JSON. No field ever holds content, a
 * header or an option's value.
 */
import { standardError } from '../../core/sys/standard.js'
import { jsonText, oneLine } from '../print/printable.js'
import { LEVELS, type Level } from './levels.js'

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Log extends Readonly<Record<Level, (message: string, fields?: Fields) => void>> {
  /** Are lines of that level written? */
  has(level: Level): boolean
}

export interface LogOptions {
  readonly level: Level
  readonly json: boolean
  /** Takes a whole line with its newline; false where there is no room for it. */
  readonly write: (line: string) => unknown
  readonly now?: () => Date
}

/** Characters that may wait for a reader; a line has a few hundred. */
const MOST_WAITING = 1024 * 1024

/** Writes to standard error. A service never waits for a reader: lines that find no room are dropped. */
export function toStandardError(stream = standardError()): LogOptions['write'] {
  let waiting = 0
  return (line) => {
    if (waiting > MOST_WAITING) return false
    waiting += line.length
    stream
      .write(line)
      .catch(() => {}) // the reader is gone
      .finally(() => {
        waiting -= line.length
      })
    return true
  }
}

export function createLog({ level, json, write, now = () => new Date() }: LogOptions): Log {
  const least = LEVELS.indexOf(level)
  let lost = 0
  const put = (each: Level, message: string, fields: Fields) => {
    const time = now().toISOString()
    return write(json ? jsonLine(time, each, message, fields) : textLine(time, each, message, fields))
  }
  const at =
    (each: Level) =>
    (message: string, fields: Fields = {}) => {
      if (LEVELS.indexOf(each) < least) return
      const warning = 'nobody read the log: lines are missing'
      if (lost > 0 && put('warn', warning, { lines: lost }) !== false) lost = 0
      if (put(each, message, fields) === false) lost += 1
    }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    has: (each) => LEVELS.indexOf(each) >= least,
  }
}

function jsonLine(time: string, level: Level, message: string, fields: Fields): string {
  return `${jsonText({ time, level, message, ...fields })}\n`
}

/** `2026-01-31T10:00:00.000Z info serving socket=/run/…`: a value that is not one plain word is quoted. */
function textLine(time: string, level: Level, message: string, fields: Fields): string {
  const words = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${word(String(value))}`],
  )
  return `${[time, level.padEnd(5), oneLine(message), ...words].join(' ')}\n`
}

function word(value: string): string {
  return /^[\w.,:/@%+-]+$/.test(value) ? value : jsonText(value)
}
