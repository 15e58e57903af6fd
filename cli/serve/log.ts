/**
 * The log of a service, on standard error: a line of text or, with `--json`, of JSON. No field ever holds content, a
 * header or an option's value.
 */
import { printable } from '../failure.js'
import { LEVELS, type Level } from './levels.js'

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

export interface Log extends Readonly<Record<Level, (message: string, fields?: Fields) => void>> {
  /** Is a line of that level written at all? */
  has(level: Level): boolean
}

export interface LogOptions {
  readonly level: Level
  readonly json: boolean
  /** Takes a whole line, with its end. */
  readonly write: (line: string) => void
  readonly now?: () => Date
}

export function createLog({ level, json, write, now = () => new Date() }: LogOptions): Log {
  const least = LEVELS.indexOf(level)
  const put =
    (each: Level) =>
    (message: string, fields: Fields = {}) => {
      if (LEVELS.indexOf(each) < least) return
      const time = now().toISOString()
      write(json ? jsonLine(time, each, message, fields) : textLine(time, each, message, fields))
    }
  return {
    debug: put('debug'),
    info: put('info'),
    warn: put('warn'),
    error: put('error'),
    has: (each) => LEVELS.indexOf(each) >= least,
  }
}

function jsonLine(time: string, level: Level, message: string, fields: Fields): string {
  return `${JSON.stringify({ time, level, message, ...fields })}\n`
}

/** `2026-01-31T10:00:00.000Z info serving socket=/run/…`: a value that is not one plain word is quoted. */
function textLine(time: string, level: Level, message: string, fields: Fields): string {
  const words = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${word(String(value))}`],
  )
  return `${[time, level.padEnd(5), printable(message).replaceAll('\n', '\\n'), ...words].join(' ')}\n`
}

function word(value: string): string {
  return /^[\w.,:/@%+-]+$/.test(value) ? value : printable(JSON.stringify(value))
}
