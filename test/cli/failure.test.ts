import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureOf, failureText } from '../../cli/print/failure.js'
import { STATUS, VarveError } from '../../core/errors.js'

test('every code has its exit status', () => {
  for (const [code, { exit }] of Object.entries(STATUS)) {
    assert.equal(failureOf(new VarveError(code as keyof typeof STATUS, 'x')).exit, exit)
  }
})

test('errors of the operating system get the same codes', () => {
  const errno = (code: string) => Object.assign(new Error(`${code}: open '/x'`), { code })
  const table = { ENOENT: 3, EEXIST: 4, EACCES: 5, EROFS: 5, ENOSPC: 8, EISDIR: 2 }
  for (const [code, exit] of Object.entries(table)) assert.equal(failureOf(errno(code)).exit, exit)
})

test('an unexpected error asks to be reported', () => {
  const failure = failureOf(new TypeError('x is undefined'))
  assert.equal(failure.exit, 1)
  assert.match(failure.message, /^internal error: x is undefined/)
})

test('a message is one line for people or one object for programs, and steers no terminal', () => {
  const error = new VarveError('NOT_FOUND', 'no image \x1b[31mred\u202e')
  assert.equal(failureText(error, { json: false }), 'varve: no image \\x1b[31mred\\u202e\n')
  assert.deepEqual(JSON.parse(failureText(error, { json: true })), {
    error: { code: 'NOT_FOUND', message: 'no image \\x1b[31mred\\u202e' },
  })
})
