import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drawGraph, speaksUnicode } from '../../cli/print/graph.js'
import { parseLayerId } from '../../core/ids.js'
import { image, layer } from './fake.js'

const MiB = 1024 ** 2

const layers = [
  layer('base', { size: 28 * MiB }),
  layer('lib', { parent: parseLayerId('base'), size: 2 * MiB }),
  layer('app', { parent: parseLayerId('lib'), size: 512 }),
  layer('work', { parent: parseLayerId('app'), kind: 'active', mounts: ['/mnt'] }),
  layer('work2', { parent: parseLayerId('app'), kind: 'active' }),
  layer('other', { parent: parseLayerId('base'), size: 1024 }),
  layer('other-top', { parent: parseLayerId('other'), size: 0 }),
  layer('alone', { size: 5 }),
]
const images = [
  image(1, ['app:1', 'app:latest'], ['base', 'lib', 'app']),
  image(2, [], ['base', 'other', 'other-top']),
  image(3, ['debian:12'], ['base']),
]

test('a chain stays in its column, branches go to the right, names are at the top layers', () => {
  assert.equal(
    drawGraph(layers, images, { unicode: true }),
    [
      '●     base           28.0 MiB  debian:12',
      '├─●   lib             2.0 MiB',
      '│ ●   app               512 B  app:1, app:latest',
      '│ ├─○ work                  -  writable, mounted at /mnt',
      '│ └─○ work2                 -  writable',
      '└─●   other           1.0 KiB',
      '  ●   other-top           0 B  image 020202020202',
      '',
      '●     alone               5 B',
      '',
    ].join('\n'),
  )
})

test('without Unicode the graph is drawn in ASCII', () => {
  const text = drawGraph(layers, images, { unicode: false })
  assert.match(text, /^[\n -~]*$/)
  assert.match(text, /^\| \|-o work /m)
  assert.match(text, /^`-\* {3}other /m)
})

test('an empty store draws nothing', () => {
  assert.equal(drawGraph([], [], { unicode: true }), '')
})

test('a chain of ten thousand layers is drawn', () => {
  const deep = Array.from({ length: 10_000 }, (_, i) =>
    layer(`n${i}`, i === 0 ? {} : { parent: parseLayerId(`n${i - 1}`) }),
  )
  assert.equal(drawGraph(deep, [], { unicode: true }).split('\n').length, 10_001)
})

test('LC_ALL wins over LC_CTYPE, which wins over LANG', () => {
  assert.equal(speaksUnicode({ LANG: 'C.UTF-8' }), true)
  assert.equal(speaksUnicode({ LANG: 'de_DE.utf8' }), true)
  assert.equal(speaksUnicode({ LANG: 'C.UTF-8', LC_ALL: 'C' }), false)
  assert.equal(speaksUnicode({ LANG: 'C', LC_ALL: '', LC_CTYPE: 'C.UTF-8' }), true)
  assert.equal(speaksUnicode({}), false)
})
