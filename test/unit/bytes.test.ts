import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asText, fromText, toBytes, toText } from '../../core/bytes.js'

test('names are shown as text if they are UTF-8, and with escapes if not', () => {
  const cases: readonly (readonly [name: string, shown: string])[] = [
    ['plain.txt', 'plain.txt'],
    [fromText('größe'), 'größe'],
    [fromText('日本'), '日本'],
    ['\xff\xfe', '\\xff\\xfe'],
    ['a\nb', 'a\\x0ab'],
    ['\x1b[31m', '\\x1b[31m'],
    ['back\\slash', 'back\\\\slash'],
    [fromText('\u202egnp'), '\\u{202e}gnp'],
    [fromText('\ufffd'), '\ufffd'],
  ]
  for (const [name, shown] of cases) assert.equal(toText(name), shown)
})

test('text is converted to bytes and back', () => {
  assert.equal(toBytes(fromText('größe')).toString('utf8'), 'größe')
  for (const text of ['ba\\ck', 'a b', 'a\nb', 'größe', '\u202e', '\ufffd'])
    assert.equal(asText(fromText(text)), text)
})
