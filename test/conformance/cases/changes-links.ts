/** Hard links. A tar can only link to its own entries, and a union mount copies up only one name of a lower file. */
import { editCase, seconds } from '../edit-case.js'
import type { Case } from '../suite.js'
import { directory, type Edit, file, link, type Tree } from '../trees.js'

const timed = (path: string, count: number): Edit => ({
  do: 'set',
  path,
  attributes: { mtime: seconds(count) },
})
const FOUR: Tree = {
  '': directory({ mtime: seconds(1000) }),
  a: file('linked', { mtime: seconds(5000) }),
  b: link('a'),
  d: directory({ mtime: seconds(1001) }),
  'd/c': link('a'),
  'd/e': link('a'),
  other: file('linked', { mtime: seconds(5000) }),
  twin: link('other'),
}

export const linkCases: readonly Case[] = [
  editCase({
    title: 'a new link to a file of a lower layer is an add alone',
    edits: [{ do: 'link', path: 'd/f', to: 'd/second' }, timed('d', 1001)],
    changes: ['A d/second'],
  }),
  editCase({
    title: 'a new link to a file of a lower layer that is then written to is an add and a modify',
    edits: [
      { do: 'link', path: 'd/f', to: 'e/second' },
      { do: 'append', path: 'e/second', content: '!' },
      timed('e', 1003),
    ],
    changes: ['C d/f', 'A e/second'],
  }),
  editCase({
    title: 'a third link to a file that has two',
    edits: [{ do: 'link', path: 'links/one', to: 'links/three' }, timed('links', 1004)],
    changes: {
      oneOf: [['A links/three'], ['C links/one', 'A links/three'], ['A links/three', 'C links/two']],
    },
  }),
  editCase({
    title: 'a removed link is a delete, and the other name is unchanged',
    edits: [{ do: 'remove', path: 'links/one' }, timed('links', 1004)],
    changes: ['D links/one'],
  }),
  editCase({
    title: 'new files that are hard links of each other',
    edits: [
      { do: 'make', path: 'd/z', entry: file('several names') },
      { do: 'link', path: 'd/z', to: 'a' },
      { do: 'link', path: 'a', to: 'd/sub/m' },
      timed('', 1000),
      timed('d', 1001),
      timed('d/sub', 1002),
    ],
    changes: ['A a', 'A d/sub/m', 'A d/z'],
  }),
  editCase({
    title:
      'a write to one of two names modifies both if they stay one file, and that one if a copy-up separates them',
    edits: [{ do: 'append', path: 'links/two', content: '!' }],
    changes: { oneOf: [['C links/one', 'C links/two'], ['C links/two']] },
  }),
  editCase({
    title: 'a name separated from its links by a copy of the same content is a modify of one of them',
    edits: [{ do: 'part', path: 'links/one' }, timed('links', 1004)],
    changes: { oneOf: [['C links/one'], ['C links/two']] },
  }),
  editCase({
    title: 'two files of the same content that become one file are a modify of one of them',
    base: FOUR,
    edits: [
      { do: 'remove', path: 'twin' },
      { do: 'remove', path: 'other' },
      { do: 'make', path: 'other', entry: file('linked', { mtime: seconds(5000) }) },
      { do: 'make', path: 'twin', entry: file('linked', { mtime: seconds(5000) }) },
      timed('', 1000),
    ],
    changes: { oneOf: [['C other'], ['C twin'], ['C other', 'C twin']] },
  }),
  editCase({
    title: 'four names in two pairs that change partners',
    base: FOUR,
    edits: [
      { do: 'part', path: 'a' },
      { do: 'remove', path: 'd/c' },
      { do: 'link', path: 'a', to: 'd/c' },
      timed('', 1000),
      timed('d', 1001),
    ],
    changes: {
      oneOf: [
        ['C a', 'C d/c'],
        ['C b', 'C d/e'],
      ],
    },
  }),
  editCase({
    title: 'links across directories, one of which is removed',
    base: FOUR,
    edits: [{ do: 'remove', path: 'd' }, timed('', 1000)],
    changes: ['D d'],
  }),
  editCase({
    title: 'a link that takes the place of a file',
    base: FOUR,
    edits: [{ do: 'remove', path: 'other' }, { do: 'link', path: 'twin', to: 'new' }, timed('', 1000)],
    changes: ['A new', 'D other'],
  }),
  editCase({
    title: 'hard links to symlinks, devices and fifos are links',
    edits: [
      { do: 'link', path: 'd/l', to: 'd/m' },
      { do: 'link', path: 'null', to: 'd/null' },
      { do: 'link', path: 'pipe', to: 'd/pipe' },
      timed('d', 1001),
    ],
    changes: ['A d/m', 'A d/null', 'A d/pipe'],
  }),
]
