/**
 * Edit scripts that each show one kind of fault. The fault was put into a driver or the packer, random scripts found it, and
 * these are the fewest edits that show it. Scripts that find a real fault are added here.
 */
import type { Script } from '../script.js'

export const KEPT: readonly (Script & { readonly title: string })[] = [
  {
    title: 'a link to a lower file whose mode is set to the same value',
    layers: [
      [
        {
          do: 'make',
          path: 'a',
          entry: { type: 'file', content: { size: 0, fill: 1 }, mtime: 1_000_000_000n },
        },
        { do: 'link', path: 'a', to: 'b' },
      ],
      [],
      [{ do: 'set', path: 'a', attributes: { mtime: 1_000_000_000n } }],
    ],
  },
  {
    title: 'a link across layers and directories that is opened for writing',
    layers: [
      [
        { do: 'make', path: 'd', entry: { type: 'directory', mtime: 1_700_000_000_999_999_999n } },
        { do: 'make', path: 'd/e', entry: { type: 'directory', mode: 0o1777 } },
        { do: 'make', path: 'd/\xff\n', entry: { type: 'directory' } },
        {
          do: 'make',
          path: 'd/\xff\n/f',
          entry: { type: 'file', content: { size: 1, fill: 3 }, mode: 0o1777 },
        },
      ],
      [{ do: 'link', path: 'd/\xff\n/f', to: 'd/e/g' }],
      [{ do: 'open for writing', path: 'd/e/g' }],
    ],
  },
  {
    title: 'a directory replaced by its copy, with a hard link to a file outside',
    layers: [
      [
        { do: 'make', path: 'd', entry: { type: 'directory', mode: 0o700 } },
        { do: 'make', path: 'c', entry: { type: 'file', content: { size: 100, fill: 1 } } },
        {
          do: 'make',
          path: 'd/a',
          entry: { type: 'directory', mode: 0o700, mtime: 1_600_000_000_123_456_789n },
        },
        { do: 'link', path: 'c', to: 'd/a/b' },
      ],
      [],
      [{ do: 'part', path: 'd' }],
    ],
  },
  {
    title: 'a directory and its subdirectory swap places, and a device gets a link there',
    layers: [
      [
        { do: 'make', path: 'a', entry: { type: 'directory', mtime: 1_600_000_000_123_456_789n } },
        { do: 'make', path: 'e', entry: { type: 'directory', mode: 0o700 } },
        { do: 'make', path: 'e/device', entry: { type: 'char', major: 1, minor: 3 } },
        { do: 'make', path: 'a/x', entry: { type: 'directory', mode: 0o700 } },
        { do: 'make', path: 'a/y', entry: { type: 'directory', mtime: 1_700_000_000_999_999_999n } },
      ],
      [
        { do: 'rename', path: 'a/y', to: 'turn~' },
        { do: 'rename', path: 'a', to: 'turn~/down~' },
        { do: 'rename', path: 'turn~', to: 'a' },
      ],
      [{ do: 'link', path: 'e/device', to: 'a/down~/x/link' }],
    ],
  },
  {
    title: 'one of two links moves into new directories',
    layers: [
      [
        {
          do: 'make',
          path: 'a',
          entry: { type: 'file', content: { size: 0, fill: 1 }, mtime: 1_000_000_000n },
        },
        { do: 'link', path: 'a', to: 'b' },
      ],
      [],
      [
        { do: 'make', path: 'deep', entry: { type: 'directory' } },
        { do: 'make', path: 'deep/one', entry: { type: 'directory' } },
        { do: 'rename', path: 'a', to: 'deep/one/moved' },
      ],
    ],
  },
  {
    title: 'a directory created where one with a file was removed',
    layers: [
      [
        { do: 'make', path: 'e', entry: { type: 'directory', mtime: 1_000_000_000n } },
        { do: 'make', path: 'e/e', entry: { type: 'file', content: { size: 100, fill: 2 }, mode: 0o1777 } },
      ],
      [],
      [{ do: 'make', path: 'e', entry: { type: 'directory' } }],
    ],
  },
  {
    title: 'a directory with a link renamed away, the other name in its old parent',
    layers: [
      [
        { do: 'make', path: 'p', entry: { type: 'directory' } },
        { do: 'make', path: 'p/q', entry: { type: 'directory', mtime: 1_600_000_000_123_456_789n } },
        { do: 'make', path: 'p/\\', entry: { type: 'symlink', target: '/etc/passwd' } },
      ],
      [{ do: 'link', path: 'p/\\', to: 'p/q/a-b' }],
      [{ do: 'rename', path: 'p/q', to: 'turn~' }],
    ],
  },
]
