import assert from 'node:assert/strict'
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createDirectoryTimes, type DirectoryTimes } from '../../../core/tree/directory-times.js'

test('times are returned in order, through many chunks, without forgotten ones', () => {
  returnsAll(createDirectoryTimes())
})

test('the same where they are in a file, which is closed with them', () => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-times-'))
  try {
    const opened: number[] = []
    const openUnnamed = () => {
      opened.push(openSync(join(directory, 'times'), 'wx+'))
      return opened.at(-1) ?? -1
    }
    const few = createDirectoryTimes({ openUnnamed })
    few.add('few', { sec: 1, nsec: 2 })
    few.close()
    assert.deepEqual(opened, [], 'a few need no file')
    const times = createDirectoryTimes({ openUnnamed })
    returnsAll(times)
    const [fd = -1, ...others] = opened
    assert.deepEqual(others, [])
    assert.ok(fstatSync(fd).size > 4 << 20, 'nearly all are in the file')
    times.close()
    assert.throws(() => closeSync(fd), { code: 'EBADF' })
    assert.throws(() => times.replay(() => {}), /are closed/)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

function returnsAll(times: DirectoryTimes): void {
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
}
