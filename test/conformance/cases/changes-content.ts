/** What counts as a change of a file, and what only looks like one. */
import { editCase, seconds } from '../edit-case.js'
import { keepsUserAttributes } from '../probes.js'
import type { Case } from '../suite.js'
import { directory, type Edit, file, type Tree } from '../trees.js'

const FILES: Tree = {
  '': directory({ mtime: seconds(1000) }),
  plain: file('plain', { mtime: seconds(5000) }),
  big: file({ size: 300_000, fill: 1 }, { mtime: seconds(5000) }),
  zeros: file({ size: 300_000, fill: 0 }, { mtime: seconds(5000) }),
  sparse: file({ size: 3_000_000, fill: 7, hole: { from: 4096, to: 2_900_000 } }, { mtime: seconds(5000) }),
  marked: file('marked', { mtime: seconds(5000), xattrs: { 'trusted.one': '\0\xff', 'trusted.two': '' } }),
  suid: file('suid', { mode: 0o4755, uid: 1, gid: 2, mtime: seconds(5000) }),
}

const set = (path: string, attributes: Extract<Edit, { do: 'set' }>['attributes']): Edit => ({
  do: 'set',
  path,
  attributes,
})

export const contentCases: readonly Case[] = [
  editCase({ title: 'a layer that nobody wrote to has no changes', edits: [], changes: [] }),
  editCase({
    title: 'a file rewritten longer, shorter or empty is a modify',
    base: FILES,
    edits: [
      { do: 'append', path: 'big', content: '!' },
      { do: 'rewrite', path: 'plain', content: 'p' },
      { do: 'truncate', path: 'zeros', size: 0 },
    ],
    changes: ['C big', 'C plain', 'C zeros'],
  }),
  editCase({
    title: 'a same-size edit whose mtime is put back is a modify',
    base: FILES,
    edits: [
      { do: 'patch and hide', path: 'big', at: 299_999, byte: 2 },
      { do: 'patch and hide', path: 'plain', at: 0, byte: 0 },
      { do: 'patch and hide', path: 'sparse', at: 1_000_000, byte: 7 },
    ],
    changes: ['C big', 'C plain', 'C sparse'],
  }),
  editCase({
    title: 'a file opened for writing, or rewritten with the same content, is no change',
    base: FILES,
    edits: [
      { do: 'open for writing', path: 'big' },
      { do: 'write again', path: 'plain' },
      { do: 'write again', path: 'sparse' },
      { do: 'patch and hide', path: 'zeros', at: 100_000, byte: 0 },
    ],
    changes: [],
  }),
  editCase({
    title: 'the same content with a new time is a modify',
    base: FILES,
    edits: [{ do: 'write again', path: 'plain' }, set('plain', { mtime: seconds(5000) + 1n })],
    changes: ['C plain'],
  }),
  editCase({
    title: 'a hole where there were zeros is no change, and one where there was data is a modify',
    base: FILES,
    edits: [
      { do: 'punch', path: 'zeros', at: 0, length: 200_000 },
      set('zeros', { mtime: seconds(5000) }),
      { do: 'punch', path: 'big', at: 65_536, length: 65_536 },
      set('big', { mtime: seconds(5000) }),
    ],
    changes: ['C big'],
  }),
  editCase({
    title: 'sparse files come back as they were, with a hole at the start, in the middle and at the end',
    base: FILES,
    edits: [
      { do: 'truncate', path: 'sparse', size: 9_000_000 },
      {
        do: 'make',
        path: 'end',
        entry: file({ size: 5_000_000, fill: 1, hole: { from: 1, to: 5_000_000 } }),
      },
      {
        do: 'make',
        path: 'hole',
        entry: file({ size: 5_000_000, fill: 1, hole: { from: 0, to: 5_000_000 } }),
      },
      // Fully allocated, although SEEK_HOLE may still report it as a hole.
      { do: 'make', path: 'filled', entry: file({ size: 3_000_000, fill: 0, hole: { from: 0, to: 0 } }) },
      {
        do: 'make',
        path: 'start',
        entry: file({ size: 5_000_000, fill: 1, hole: { from: 0, to: 4_999_999 } }),
      },
    ],
    changes: ['C ', 'A end', 'A filled', 'A hole', 'C sparse', 'A start'],
  }),
  editCase({
    title: 'a clone of one file over another of its size is a modify, whatever blocks they share',
    base: FILES,
    edits: [{ do: 'clone', path: 'zeros', to: 'big' }, set('big', { mtime: seconds(5000) })],
    changes: ['C big'],
  }),
  editCase({
    title:
      'a change of mode, owner, group or time alone is a modify, also of the root; setting the same value is none',
    edits: [
      set('', { mode: 0o711 }),
      set('d/f', { mode: 0o600 }),
      set('d/g', { mode: 0o644, uid: 0, mtime: seconds(5000) }),
      set('d/l', { uid: 7, mtime: seconds(5000) }),
      set('d/sub', { mode: 0o1777 }),
      set('d/sub/deep', { gid: 2 ** 32 - 2 }),
      set('e', { mode: 0o750, mtime: seconds(1003) }),
      set('e/f', { mtime: seconds(5001) }),
      set('e/only', { mode: 0o6755, uid: 1 }),
      set('null', { uid: 3 }),
      set('pipe', { mode: 0o666 }),
    ],
    changes: ['C ', 'C d/f', 'C d/l', 'C d/sub', 'C d/sub/deep', 'C e/f', 'C e/only', 'C null', 'C pipe'],
  }),
  editCase({
    title: 'set-user-id and owner survive a write by root’s own chown and chmod',
    base: FILES,
    edits: [set('suid', { uid: 8, gid: 9, mode: 0o6711 })],
    changes: ['C suid'],
  }),
  editCase({
    title: 'an extended attribute set, changed or removed is a modify, of a file, a directory or a symlink',
    edits: [
      set('', { xattrs: { 'trusted.root': '' } }),
      set('d', { xattrs: { 'trusted.binary': '\0\n=\xff' } }),
      { do: 'remove xattr', path: 'd/g', name: 'trusted.x' },
      set('d/l', { xattrs: { 'trusted.on-a-link': 'yes' } }),
      set('e/f', { xattrs: { 'trusted.long': 'v'.repeat(1000), 'trusted.empty': '' } }),
      set('null', { xattrs: { 'trusted.on-a-device': '1' } }),
    ],
    changes: ['C ', 'C d', 'C d/g', 'C d/l', 'C e/f', 'C null'],
  }),
  editCase({
    title: 'an extended attribute set to the value it has, or set and removed again, is no change',
    base: FILES,
    edits: [
      set('marked', { xattrs: { 'trusted.one': '\0\xff' } }),
      set('plain', { xattrs: { 'trusted.passing': 'x' } }),
      { do: 'remove xattr', path: 'plain', name: 'trusted.passing' },
    ],
    changes: [],
  }),
  editCase({
    title: 'user attributes and capabilities are kept',
    edits: [
      set('d', { xattrs: { 'user.x': 'x' } }),
      set('d/f', {
        xattrs: { 'user.y': '', 'security.capability': '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0' },
      }),
    ],
    changes: ['C d', 'C d/f'],
    impossible: keepsUserAttributes,
  }),
]
