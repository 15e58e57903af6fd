import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseWords } from '../../../../core/sys/mount/options.js'
import { PAGE, parseLayers, withOnePage } from '../../../../core/sys/mount/overlay-data.js'
import { randomRuns } from '../../../support/seed.js'
import { scratch } from '../scratch.js'

const WORDS: readonly (readonly [options: string, expected: Partial<ReturnType<typeof parseWords>>])[] = [
  ['', { flags: 0, attributes: 0, cleared: 0, superFlags: [], data: [], propagation: 0 }],
  ['defaults,bind', { flags: 0, data: [] }],
  ['ro,nodev', { flags: 5, attributes: 5, superFlags: ['ro'] }],
  ['ro,rw', { flags: 0, attributes: 0, cleared: 1, superFlags: [] }],
  ['rw,ro', { flags: 1, attributes: 1, cleared: 0 }],
  ['noatime', { flags: 0x400, attributes: 0x10, cleared: 0x70 }],
  ['relatime', { flags: 1 << 21, attributes: 0, cleared: 0x70 }],
  ['nosuid,noexec,nodiratime', { flags: 0x80a, attributes: 0x8a }],
  ['rslave,ro', { propagation: (1 << 19) | 0x4000, flags: 1 }],
  ['lowerdir=/a,metacopy=on,volatile', { flags: 0, data: ['lowerdir=/a', 'metacopy=on', 'volatile'] }],
]

for (const [options, expected] of WORDS) {
  test(`the words '${options}' become flags, attributes and data`, () => {
    const words = parseWords(options.split(','))
    assert.deepEqual({ ...words, ...expected }, words)
  })
}

const LOWERS: readonly (readonly [value: string, lowers: string[], dataLowers: string[]])[] = [
  ['/a', ['/a'], []],
  ['/a:/b:/c', ['/a', '/b', '/c'], []],
  ['/a\\:b:/c\\\\:/d\\,e', ['/a:b', '/c\\', '/d,e'], []],
  ['/a::/d', ['/a'], ['/d']],
  ['/a:/b::/d::/e', ['/a', '/b'], ['/d', '/e']],
  ['rel:/b', ['rel', '/b'], []],
]

for (const [value, lowers, dataLowers] of LOWERS) {
  test(`lowerdir=${value} names ${[...lowers, ...dataLowers].join(' and ')}`, () => {
    const layers = parseLayers([`lowerdir=${value}`, 'upperdir=/u\\:p', 'workdir=/w', 'index=off'])
    assert.deepEqual(layers, { lowers, dataLowers, upper: '/u:p', work: '/w', rest: ['index=off'] })
  })
}

test('names of any characters can be parsed from the data that they are joined to', () => {
  const name = fc
    .string({ unit: fc.constantFrom('a', ':', '\\', ',', ' ', '\xff', '\n'), minLength: 1 })
    .map((text) => `/${text}`)
  fc.assert(
    fc.property(fc.array(name, { minLength: 1 }), fc.array(name), name, (lowers, dataLowers, upper) => {
      const layers = { lowers, dataLowers, upper, work: '/w', rest: ['index=off'] }
      withOnePage(layers, (data) => assert.deepEqual(parseLayers(splitWords(data)), layers))
    }),
    randomRuns(300),
  )
})

test('data of one page is left as it is; beyond, the common directory becomes a descriptor; then it is an error', (t) => {
  const root = scratch(t)
  const layers = (count: number) => ({
    lowers: Array.from({ length: count }, (_, i) => `${root}/l/${i}`),
    dataLowers: [],
    upper: `${root}/u`,
    work: undefined,
    rest: [],
  })
  const seen: string[] = []
  const use = (data: string) => seen.push(data)
  withOnePage(layers(10), use)
  assert.equal(seen[0], `lowerdir=${layers(10).lowers.join(':')},upperdir=${root}/u`)
  fs.mkdirSync(`${root}/l`)
  assert.throws(() => withOnePage(layers(100_000), use), {
    code: 'RESOURCE_EXHAUSTED',
    message:
      /^overlay: 100000 lower directories make \d+ bytes of mount data, and mount\(2\) takes one page \(4096\)/,
  })
  withOnePage(layers(150), use)
  assert.match(seen[1] ?? '', /^lowerdir=(\/dev\/fd|\/proc\/self\/fd)\/\d+\/0:/)
  assert.equal(seen[1]?.endsWith(`:${/lowerdir=(.*?)0:/.exec(seen[1])?.[1]}149,upperdir=${root}/u`), true)
  assert.equal((seen[1]?.length ?? PAGE) < PAGE, true)
  assert.equal(seen.length, 2)
})

/** Splits at commas without a backslash before them, as the kernel does first. */
function splitWords(data: string): string[] {
  return data.match(/(?:\\.|[^\\,])+/gs) ?? []
}
