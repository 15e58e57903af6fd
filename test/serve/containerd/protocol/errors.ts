/** Each error of the protocol's table. */
import assert from 'node:assert/strict'
import {
  ALREADY_EXISTS,
  FAILED_PRECONDITION,
  INVALID_ARGUMENT,
  type Message,
  NOT_FOUND,
  UNIMPLEMENTED,
} from '../snapshot-client.js'
import { type Cases, family, refused } from './bench.js'

export const ERRORS: Cases = {
  async 'Every error of the table has the code and words that containerd looks for.'(bench) {
    const { call } = bench.client
    await family(bench.client)
    for (const [method, request, code, words] of REFUSALS) {
      await refused(call(method, request), code, words)
    }
    // None of the refused calls changed anything.
    const names = (await bench.client.list()).map(({ name }) => name)
    assert.deepEqual(names, ['active', 'base', 'top', 'view'])
    assert.equal(bench.service.log().includes(' error '), false)
  },
}

type Refusal = readonly [method: string, request: Message, code: number, words: RegExp]

const LONG = 'x'.repeat(4096)

/** Over {@link family}. */
const REFUSALS: readonly Refusal[] = [
  ...['Prepare', 'View'].flatMap((method): Refusal[] => [
    [method, { key: 'active', parent: 'base' }, ALREADY_EXISTS, /"active"/],
    [method, { key: 'base' }, ALREADY_EXISTS, /"base"/],
    [method, { key: 'new', parent: 'nobody' }, NOT_FOUND, /"nobody"/],
    [method, { key: 'new', parent: 'active' }, INVALID_ARGUMENT, /committed/],
    [method, { key: 'new', parent: 'view' }, INVALID_ARGUMENT, /committed/],
    [method, { key: '' }, INVALID_ARGUMENT, /empty/],
    [method, { key: 'a\0b' }, INVALID_ARGUMENT, /NUL/],
    [method, { key: `${LONG}x` }, INVALID_ARGUMENT, /4097 bytes/],
    [method, { key: 'new', labels: { '': 'x' } }, INVALID_ARGUMENT, /key/],
    [method, { key: 'new', labels: { y: LONG } }, INVALID_ARGUMENT, /4097 bytes/],
    [method, { key: 'new', labels: { [`${LONG}y`]: '' } }, INVALID_ARGUMENT, /4097 bytes/],
  ]),
  ['Mounts', { key: 'nobody' }, NOT_FOUND, /"nobody"/],
  ['Mounts', { key: 'base' }, FAILED_PRECONDITION, /committed/],
  ['Commit', { key: 'active', name: 'base' }, ALREADY_EXISTS, /"base"/],
  ['Commit', { key: 'active', name: 'view' }, ALREADY_EXISTS, /"view"/],
  ['Commit', { key: 'nobody', name: 'new' }, NOT_FOUND, /"nobody"/],
  ['Commit', { key: 'base', name: 'new' }, FAILED_PRECONDITION, /committed/],
  ['Commit', { key: 'view', name: 'new' }, FAILED_PRECONDITION, /view/],
  ['Commit', { key: 'active', name: '' }, INVALID_ARGUMENT, /empty/],
  ['Commit', { key: 'active', name: 'new', labels: { y: LONG } }, INVALID_ARGUMENT, /4097/],
  ['Commit', { key: 'active', name: 'new', parent: 'top' }, UNIMPLEMENTED, /another parent/],
  ['Remove', { key: 'nobody' }, NOT_FOUND, /"nobody"/],
  ['Remove', { key: 'base' }, FAILED_PRECONDITION, /remove/],
  ['Stat', { key: 'nobody' }, NOT_FOUND, /"nobody"/],
  ['Stat', { key: 'base key' }, NOT_FOUND, /"base key"/],
  ['Usage', { key: 'nobody' }, NOT_FOUND, /"nobody"/],
  ['Update', {}, INVALID_ARGUMENT, /info/],
  ['Update', { info: { name: 'nobody' } }, NOT_FOUND, /"nobody"/],
  ...['name', 'parent', 'kind', 'created_at', 'labels.', 'label', ''].map(
    (path): Refusal => [
      'Update',
      { info: { name: 'base' }, updateMask: { paths: ['labels.a', path] } },
      INVALID_ARGUMENT,
      /can't be changed/,
    ],
  ),
  ['Update', { info: { name: 'base', labels: { y: LONG } } }, INVALID_ARGUMENT, /4097/],
  ...['Prepare', 'View', 'Mounts', 'Commit', 'Remove', 'Stat', 'Update', 'Usage', 'Cleanup'].flatMap(
    (method) =>
      ['', 'overlayfs', 'varve2'].map(
        (snapshotter): Refusal => [
          method,
          { snapshotter, key: 'active', name: 'new', info: { name: 'active' } },
          INVALID_ARGUMENT,
          /--name/,
        ],
      ),
  ),
]
