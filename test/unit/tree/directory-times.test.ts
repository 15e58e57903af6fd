import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDirectoryTimes } from '../../../core/tree/directory-times.js'

test('times are returned in order, through many chunks, without forgotten ones', () => {
  const times = createDirectoryTimes()
  const want: string[] = []
  times.add('', { sec: 1, nsec: 2 })
  times.add('gone', { sec: 1, nsec: 2 })
  times.add('gone/below', { sec: 3, nsec: 4 })
  times.forget('gone')
  times.add('gone', { sec: -5, nsec: 999_999_999 })
  want.push('', 'gone/below', 'gone')
  for (let i = 0; i < 30_000; i++) {
    const path = i % 2 === 0 ? `a/${'long-'.repeat(i % 700)}${i}` : `caf\u00e9/${i}`
    times.add(path, { sec: i, nsec: i })
    want.push(path)
  }
  const got: string[] = []
  times.replay((path, { sec, nsec }) => {
    if (path === 'gone') assert.deepEqual([sec, nsec], [-5, 999_999_999])
    if (path.startsWith('a/')) assert.equal(sec, nsec)
    got.push(path)
  })
  assert.deepEqual(got, want)
})
