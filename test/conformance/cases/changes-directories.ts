/** Directories that are created, removed, created again and moved, and when a change of their times counts. */
import { editCase, seconds } from '../edit-case.js'
import type { Case } from '../suite.js'
import { directory, type Edit, file, symlink } from '../trees.js'

const timed = (path: string, count: number): Edit => ({
  do: 'set',
  path,
  attributes: { mtime: seconds(count) },
})
const remove = (path: string): Edit => ({ do: 'remove', path })
const rename = (path: string, to: string): Edit => ({ do: 'rename', path, to })
const make = (path: string, entry: Extract<Edit, { do: 'make' }>['entry'] = file('new')): Edit => ({
  do: 'make',
  path,
  entry,
})
const ALL_OF_D = ['d', 'd/f', 'd/g', 'd/l', 'd/sub', 'd/sub/deep']
const moved = (to: string) => ALL_OF_D.map((path) => `A ${to}${path.slice(1)}`)

export const directoryCases: readonly Case[] = [
  editCase({
    title: 'a new file is an add and its directory, whose time changed, a modify',
    edits: [make('d/sub/new')],
    changes: ['C d/sub', 'A d/sub/new'],
  }),
  editCase({
    title: 'a new file in a directory whose time was put back is the add alone',
    edits: [make('d/sub/new'), timed('d/sub', 1002)],
    changes: ['A d/sub/new'],
  }),
  editCase({
    title:
      'a file created and removed again changes only its directory’s time, and nothing if that is put back',
    edits: [make('d/passing'), remove('d/passing'), make('e/passing'), remove('e/passing'), timed('e', 1003)],
    changes: ['C d'],
  }),
  editCase({
    title: 'a directory created and removed again is no change, whatever was in it',
    edits: [make('x', directory()), make('x/y', directory()), make('x/y/z'), remove('x'), timed('', 1000)],
    changes: [],
  }),
  editCase({
    title: 'a new tree is an add of each of its files, in the order of bytes of whole paths',
    edits: [
      ...['b', 'b-c', 'b.c', 'b0', 'b/x'].map((path) => make(path, directory())),
      make('b/x/y', symlink('z')),
      make('b-c/x'),
    ],
    changes: ['C ', 'A b', 'A b-c', 'A b-c/x', 'A b.c', 'A b/x', 'A b/x/y', 'A b0'],
  }),
  editCase({
    title: 'a deleted file is a delete, and a deleted directory one delete',
    edits: [remove('d'), remove('e/f')],
    changes: ['C ', 'D d', 'C e', 'D e/f'],
  }),
  editCase({
    title: 'deleting everything is a delete of each name in the root',
    edits: ['d', 'e', 'links', 'null', 'pipe'].map(remove),
    changes: ['C ', 'D d', 'D e', 'D links', 'D null', 'D pipe'],
  }),
  editCase({
    title: 'a directory whose files are deleted one by one is itself kept',
    edits: [...['f', 'g', 'l', 'sub'].map((name) => remove(`d/${name}`)), timed('d', 1001)],
    changes: ['D d/f', 'D d/g', 'D d/l', 'D d/sub'],
  }),
  editCase({
    title: 'a directory removed and created again is a delete of each file that it had',
    edits: [remove('d'), make('d', directory({ mtime: seconds(1001) })), timed('', 1000)],
    changes: ['D d/f', 'D d/g', 'D d/l', 'D d/sub'],
  }),
  editCase({
    title: 'a directory removed and created again with the same names is compared file by file',
    edits: [
      remove('d'),
      make('d', directory()),
      make('d/f', file('f of d', { mtime: seconds(5000) })),
      make('d/g', file('another', { mtime: seconds(5000) })),
      make('d/l', directory()),
      make('d/sub', directory({ mtime: seconds(1002) })),
      timed('d', 1001),
      timed('', 1000),
    ],
    changes: ['C d/g', 'C d/l', 'D d/sub/deep'],
  }),
  editCase({
    title: 'a directory replaced by a copy of itself is no change',
    edits: [{ do: 'part', path: 'd' }, timed('', 1000)],
    changes: [],
  }),
  editCase({
    title: 'a directory replaced by a copy of itself, then written to, is the writes',
    edits: [
      { do: 'part', path: 'd' },
      remove('d/f'),
      { do: 'append', path: 'd/sub/deep', content: '!' },
      make('d/sub/new'),
      timed('d', 1001),
      timed('', 1000),
    ],
    changes: ['D d/f', 'C d/sub', 'C d/sub/deep', 'A d/sub/new'],
  }),
  editCase({
    title: 'a renamed directory of a lower layer is a delete, and adds of all it holds',
    edits: [rename('d', 'moved')],
    changes: ['C ', 'D d', ...moved('moved')],
  }),
  editCase({
    title: 'a directory renamed away and back is no change',
    edits: [rename('d', 'moved'), rename('moved', 'd'), timed('', 1000)],
    changes: [],
  }),
  editCase({
    title: 'a renamed directory that was changed before and after shows its content now',
    edits: [
      remove('d/f'),
      rename('d', 'moved'),
      rename('moved/sub', 'sub'),
      make('sub/more'),
      timed('moved', 1001),
      timed('sub', 1002),
      timed('', 1000),
    ],
    changes: ['D d', 'A moved', 'A moved/g', 'A moved/l', 'A sub', 'A sub/deep', 'A sub/more'],
  }),
  editCase({
    title: 'a directory renamed over another, emptied one is compared with what was there',
    edits: [remove('e/f'), remove('e/only'), rename('d', 'e'), timed('', 1000)],
    changes: ['D d', 'C e', 'C e/f', 'A e/g', 'A e/l', 'D e/only', 'A e/sub', 'A e/sub/deep'],
  }),
  editCase({
    title: 'two directories that swap places are compared with what was there',
    edits: [rename('d', 'passing'), rename('e', 'd'), rename('passing', 'e'), timed('', 1000)],
    changes: [
      'C d',
      'C d/f',
      'D d/g',
      'D d/l',
      'A d/only',
      'D d/sub',
      'C e',
      'C e/f',
      'A e/g',
      'A e/l',
      'D e/only',
      'A e/sub',
      'A e/sub/deep',
    ],
  }),
  editCase({
    title: 'a directory and its subdirectory swap places',
    edits: [
      rename('d/sub', 'passing'),
      rename('d', 'passing/down'),
      rename('passing', 'd'),
      timed('d/down', 1001),
      timed('d', 1002),
      timed('', 1000),
    ],
    changes: [
      'C d',
      'A d/deep',
      'A d/down',
      'A d/down/f',
      'A d/down/g',
      'A d/down/l',
      'D d/f',
      'D d/g',
      'D d/l',
      'D d/sub',
    ],
  }),
  editCase({
    title: 'a file moved deep into new directories, and out of one that is then removed',
    edits: [
      ...['a', 'a/b', 'a/b/c'].map((path) => make(path, directory())),
      rename('e/f', 'a/b/c/f'),
      rename('d/sub/deep', 'out'),
      remove('d'),
    ],
    changes: ['C ', 'A a', 'A a/b', 'A a/b/c', 'A a/b/c/f', 'D d', 'C e', 'D e/f', 'A out'],
  }),
  editCase({
    title: 'a file renamed over another, and a chain of renames, are listed name by name',
    edits: [
      rename('e/only', 'e/f'),
      rename('d/f', 'd/new'),
      rename('d/g', 'd/f'),
      rename('d/new', 'd/g'),
      timed('d', 1001),
      timed('e', 1003),
    ],
    changes: ['C d/f', 'C d/g', 'C e/f', 'D e/only'],
  }),
]
