import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { classify, cleanPath, whiteoutPath } from '../../../core/tar/whiteout.js'
import { errorOf } from './reading.js'

const CLEAN: readonly (readonly [string, string])[] = [
  ['', ''],
  ['.', ''],
  ['./', ''],
  ['/', ''],
  ['//', ''],
  ['/./.', ''],
  ['a', 'a'],
  ['a/', 'a'],
  ['a//', 'a'],
  ['./a', 'a'],
  ['/a', 'a'],
  ['//a//b/./c/', 'a/b/c'],
  ['a/.', 'a'],
  ['.a/.b', '.a/.b'],
  ['..foo/bar..', '..foo/bar..'],
  ['...', '...'],
  ['a\n\xff', 'a\n\xff'],
]

const PLAIN = ['a', 'a/b', '.wh', 'wh.a', '.whx', 'a.wh.b', 'dir/x.wh.', '.wh/.whiteout']

const REFUSED = [
  '..',
  '../a',
  'a/..',
  'a/../b',
  './/..',
  '/..',
  'a\0b',
  '\0',
  '.wh.',
  '.wh..',
  '.wh...',
  'a/.wh.',
  'a/.wh..',
  'a/.wh.../',
  '.wh.a/b',
  'a/.wh.b/.wh.c',
]

describe('paths in layers', () => {
  for (const [path, expected] of CLEAN) {
    test(`${JSON.stringify(path)} is ${JSON.stringify(expected)}`, () =>
      assert.equal(cleanPath(path), expected))
  }
  for (const path of REFUSED) {
    test(`${JSON.stringify(path)} is refused`, () => {
      assert.equal(errorOf(() => classify(path))?.code, 'INVALID_ARGUMENT')
    })
  }
})

describe('whiteouts', () => {
  for (const path of PLAIN) {
    test(`${path} is plain`, () => assert.deepEqual(classify(path), { kind: 'plain', path }))
  }
  const cases: readonly (readonly [string, ReturnType<typeof classify>])[] = [
    ['.wh.a', { kind: 'whiteout', path: '.wh.a', target: 'a' }],
    ['./x/.wh.a', { kind: 'whiteout', path: 'x/.wh.a', target: 'x/a' }],
    ['x/.wh.a/', { kind: 'whiteout', path: 'x/.wh.a', target: 'x/a' }],
    ['.wh.....', { kind: 'whiteout', path: '.wh.....', target: '....' }],
    ['.wh..a', { kind: 'whiteout', path: '.wh..a', target: '.a' }],
    ['.wh..wh..opq', { kind: 'opaque', directory: '' }],
    ['/x/y/.wh..wh..opq', { kind: 'opaque', directory: 'x/y' }],
    ['.wh..wh.aufs', { kind: 'bookkeeping', path: '.wh..wh.aufs' }],
    ['x/.wh..wh.orph/', { kind: 'bookkeeping', path: 'x/.wh..wh.orph' }],
    ['.wh..wh.plnk/12.34', { kind: 'bookkeeping', path: '.wh..wh.plnk/12.34' }],
  ]
  for (const [path, expected] of cases) {
    test(`${path} is ${expected.kind}`, () => assert.deepEqual(classify(path), expected))
  }

  test('the whiteout that hides a path is parsed as hiding it', () => {
    for (const path of ['a', 'a/b', 'a/.b', '..foo']) {
      assert.deepEqual(classify(whiteoutPath(path)), {
        kind: 'whiteout',
        path: whiteoutPath(path),
        target: path,
      })
    }
    for (const directory of ['', 'a', 'a/b']) {
      assert.deepEqual(classify(directory === '' ? '.wh..wh..opq' : `${directory}/.wh..wh..opq`), {
        kind: 'opaque',
        directory,
      })
    }
  })

  test('the root and reserved names can not be hidden', () => {
    for (const path of ['', '.wh.a', 'a/.wh..wh..opq']) {
      assert.equal(errorOf(() => whiteoutPath(path))?.code, 'INVALID_ARGUMENT')
    }
  })
})
