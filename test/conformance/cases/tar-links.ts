/** Hard links in a tar. */
import assert from 'node:assert/strict'
import { file, header } from '../../support/tar-bytes.js'
import type { Case } from '../suite.js'
import { tarCase } from '../tar-case.js'

const hard = (name: string, linkname: string) => header({ name, type: '1', linkname })
const lines = (tree: ReadonlyMap<string, string>, ...paths: string[]) =>
  paths.map((path) => tree.get(path) ?? '')

export const linkTarCases: readonly Case[] = [
  tarCase({
    title: 'hard links of a tar are one file, whatever their order in the tree, and count once',
    entries: [file('z', 'several names'), hard('a', 'z'), hard('d/m', './a'), hard('d/sub/n', '/d/m')],
    tree: 'a abs d d/m d/one d/sub d/sub/deep d/sub/n d/two f link z',
    diff: './ a d/ d/m = a d/sub/ d/sub/n = a z = a',
    look({ tree, applied }) {
      for (const line of lines(tree, 'd/m', 'd/sub/n', 'z')) assert.match(line, / = a\b/)
      assert.deepEqual([applied.size, applied.entries], ['several names'.length, 4])
    },
  }),
  tarCase({
    title: 'the diff of a link to a lower file has that file and both directories',
    entries: [hard('new/h', 'd/sub/deep')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f link new new/h',
    diff: './ d/ d/sub/ d/sub/deep new/ new/h = d/sub/deep',
    look: ({ tree }) => assert.match(tree.get('new/h') ?? '', / = d\/sub\/deep\b/),
  }),
  tarCase({
    title: 'a link to a link to a file of the layer below',
    entries: [hard('g', 'f'), hard('h', 'g'), hard('i', 'link/one')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f g h i link',
    diff: './ d/ d/one f g = f h = f i = d/one',
  }),
  tarCase({
    title: 'a link to a symlink is a link to the symlink',
    entries: [header({ name: 's', type: '2', linkname: '/nowhere' }), hard('t', 's'), hard('u', 'abs')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f link s t u',
    diff: './ abs s t = s u = abs',
    look({ tree }) {
      assert.match(tree.get('t') ?? '', /^symlink .* -> \/nowhere = s$/)
      assert.match(tree.get('u') ?? '', /^symlink .* -> \/d\/sub = abs$/)
    },
  }),
  tarCase({
    title: 'a link that replaces a file, a directory and itself',
    entries: [file('x', 'x'), file('a/below', ''), hard('a', 'x'), hard('d', 'x'), hard('x', 'x')],
    tree: 'a abs d f link x',
    diff: './ a d = a x = a',
    look: ({ applied }) => assert.equal(applied.size, 1),
  }),
  tarCase({
    title: 'a link to itself changes nothing, also in the layer below',
    entries: [file('x', 'x'), hard('x', './x'), hard('f', 'f'), hard('link/one', 'd/one')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f link x',
    diff: './ x',
  }),
  tarCase({
    title: 'a file that replaces a link leaves the other name unchanged',
    entries: [file('x', 'first'), hard('y', 'x'), file('x', 'second'), hard('g', 'f'), file('f', 'mine')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f g link x y',
    diff: './ f g x y',
    look: ({ applied }) =>
      assert.equal(applied.size, 'first'.length + 'second'.length + 'f'.length + 'mine'.length),
  }),
]
