/** Formats sizes, times, ids and names for people and for programs. */
import { toBytes, toText } from '../../core/store.js'

/** `12.3 MiB`; below 1 KiB the exact number of bytes. */
export function size(bytes: number): string {
  const sign = bytes < 0 ? '-' : ''
  let value = Math.abs(bytes)
  if (value < 1024) return `${sign}${value} B`
  for (const unit of ['KiB', 'MiB', 'GiB', 'TiB', 'PiB']) {
    value /= 1024
    if (value < 999.95 || unit === 'PiB')
      return `${sign}${value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${unit}`
  }
  return ''
}

/** `2 hours ago`, in docker's words (go-units HumanDuration). */
export function ago(milliseconds: number, now: number): string {
  const seconds = Math.floor((now - milliseconds) / 1000)
  if (seconds < 0) return 'in the future'
  if (seconds < 1) return 'less than a second ago'
  const steps: readonly (readonly [below: number, per: number, one: string, many: string])[] = [
    [60, 1, '1 second', 'seconds'],
    [3600, 60, 'about a minute', 'minutes'],
    [48 * 3600, 3600, 'about an hour', 'hours'],
    [14 * 86400, 86400, '1 day', 'days'],
    [60 * 86400, 7 * 86400, '1 week', 'weeks'],
    [2 * 365 * 86400, 30 * 86400, '1 month', 'months'],
  ]
  for (const [below, per, one, many] of steps) {
    if (seconds >= below) continue
    const count = Math.floor(seconds / per)
    return count === 1 ? `${one} ago` : `${count} ${many} ago`
  }
  return `${Math.floor(seconds / (365 * 86400))} years ago`
}

/** `1m 05s`, for time left. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const two = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`
}

/** The first 12 characters of a digest's hex, or of another long id. */
export function short(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12)
}

/** `5 layers`, `1 layer`. */
export function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? '' : 's'}`
}

/** A byte string for people. Where nothing else needs an escape, backslashes stay as they are. */
export function name(bytes: string): string {
  const text = toText(bytes)
  const plain = toBytes(bytes).toString('utf8')
  return plain.replaceAll('\\', '\\\\') === text ? plain : text
}

/**
 * A byte string for JSON: its text, and each byte that is not UTF-8 as a lone surrogate, U+DC80 to U+DCFF (PEP 383,
 * Python's `surrogateescape`; JSON writes them as `\udcXX`), so that every name comes through exactly.
 */
export function jsonName(bytes: string): string {
  const raw = toBytes(bytes)
  const text = raw.toString('utf8')
  if (!text.includes('\uFFFD') || Buffer.from(text, 'utf8').equals(raw)) return text
  let result = ''
  for (let at = 0; at < raw.length; ) {
    const length = sequenceLength(raw, at)
    if (length === 0) result += String.fromCharCode(0xdc00 + (raw[at] ?? 0))
    else result += raw.toString('utf8', at, at + length)
    at += length || 1
  }
  return result
}

/** RFC 3339 with all nine digits. */
export function instant(sec: number, nsec: number): string {
  const date = new Date(sec * 1000)
  if (Number.isNaN(date.getTime())) return `${sec}.${String(nsec).padStart(9, '0')}`
  return date.toISOString().replace(/\.\d+Z$/, `.${String(nsec).padStart(9, '0')}Z`)
}

/** RFC 3339 of milliseconds since 1970. */
export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

/** `2024-05-01 12:30`, local time. */
export function minute(sec: number): string {
  const date = new Date(sec * 1000)
  if (Number.isNaN(date.getTime())) return String(sec)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** Length in bytes of the well-formed UTF-8 sequence at `at`, 0 where there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const lead = bytes[at] ?? 0
  const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
  const part = bytes.subarray(at, at + length)
  return Buffer.from(part.toString('utf8'), 'utf8').equals(part) && part.length === length ? length : 0
}
