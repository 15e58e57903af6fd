import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columnsOf, table } from '../../cli/print/table.js'

test('columns are as wide as their widest cell, without trailing spaces', () => {
  const text = table(
    [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'REST' }],
    [
      ['a', '1.0 KiB', ''],
      ['longer-name', '5 B', 'x'],
    ],
  )
  assert.equal(
    text,
    ['NAME            SIZE  REST', 'a            1.0 KiB', 'longer-name      5 B  x', ''].join('\n'),
  )
})

test('a table without rows has only its titles', () => {
  assert.equal(table([{ title: 'A' }, { title: 'B' }], []), 'A  B\n')
})

test('wide letters take two columns and combining marks none', () => {
  assert.deepEqual(['abc', 'größe', '層', 'e\u0301', '😀'].map(columnsOf), [3, 5, 2, 1, 2])
})
