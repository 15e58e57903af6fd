import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ago, duration, instant, jsonName, name, short, size } from '../../cli/print/format.js'
import { fromText } from '../../core/bytes.js'

const SECOND = 1000
const HOUR = 3600 * SECOND
const DAY = 24 * HOUR

test('sizes are in binary units with at most one decimal', () => {
  const table: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [1, '1 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [-2048, '-2.0 KiB'],
    [12.3 * 1024 ** 2, '12.3 MiB'],
    [123.4 * 1024 ** 2, '123 MiB'],
    [1023.99 * 1024 ** 2, '1.0 GiB'],
    [5 * 1024 ** 5, '5.0 PiB'],
  ]
  for (const [bytes, text] of table) assert.equal(size(bytes), text)
})

test("times ago are docker's words", () => {
  const table: readonly (readonly [number, string])[] = [
    [-5 * SECOND, 'in the future'],
    [400, 'less than a second ago'],
    [SECOND, '1 second ago'],
    [59 * SECOND, '59 seconds ago'],
    [60 * SECOND, 'about a minute ago'],
    [2 * 60 * SECOND, '2 minutes ago'],
    [HOUR, 'about an hour ago'],
    [2 * HOUR, '2 hours ago'],
    [47 * HOUR, '47 hours ago'],
    [48 * HOUR, '2 days ago'],
    [13 * DAY, '13 days ago'],
    [14 * DAY, '2 weeks ago'],
    [60 * DAY, '2 months ago'],
    [2 * 365 * DAY, '2 years ago'],
  ]
  const now = Date.UTC(2024, 5, 1)
  for (const [past, text] of table) assert.equal(ago(now - past, now), text)
})

test('time left is in two units at most', () => {
  assert.deepEqual([0, 59.4, 65, 3600, 3725].map(duration), ['0s', '59s', '1m 05s', '1h 00m', '1h 02m'])
})

test('ids are shortened to twelve characters, without the algorithm', () => {
  assert.equal(short(`sha256:${'ab'.repeat(32)}`), 'abababababab')
  assert.equal(short('work'), 'work')
})

test('names are shown without anything that steers a terminal', () => {
  const table: readonly (readonly [string, string])[] = [
    [fromText('größe'), 'größe'],
    ['a\\x2db.slice', 'a\\x2db.slice'],
    ['a\x1b[31m\\', 'a\\x1b[31m\\\\'],
    ['new\nline', 'new\\x0aline'],
    ['bad\xff', 'bad\\xff'],
    [fromText('\u202egnp.exe'), '\\u{202e}gnp.exe'],
  ]
  for (const [bytes, text] of table) assert.equal(name(bytes), text)
})

test('names in JSON can be converted back to the same bytes, UTF-8 or not', () => {
  const names = [
    'plain',
    fromText('größe'),
    'new\nline\\',
    'bad\xff\xfe',
    `mixed\xc3(${fromText('é€😀')}\xe2\x82`,
    fromText('\uFFFD'),
    `\xff${fromText('\uFFFD')}`,
    // CESU-8 and overlong forms are not UTF-8.
    '\xed\xa0\x80',
    '\xc0\xaf',
  ]
  for (const bytes of names) {
    const text = JSON.parse(JSON.stringify(jsonName(bytes))) as string
    assert.equal(surrogateEscape(text), bytes)
  }
  assert.equal(JSON.stringify(jsonName('bad\xff')), '"bad\\udcff"')
})

test('times in JSON have all nine digits, also before 1970', () => {
  assert.equal(instant(0, 5), '1970-01-01T00:00:00.000000005Z')
  assert.equal(instant(-1, 999_999_999), '1969-12-31T23:59:59.999999999Z')
  assert.equal(instant(1e15, 0), '1000000000000000.000000000')
})

/** What Python's `os.fsencode` does. */
function surrogateEscape(text: string): string {
  return [...text]
    .map((char) => {
      const code = char.codePointAt(0) ?? 0
      return code >= 0xdc80 && code <= 0xdcff ? String.fromCharCode(code - 0xdc00) : fromText(char)
    })
    .join('')
}
