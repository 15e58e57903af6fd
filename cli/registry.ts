/** The commands there are. A command's module is loaded when it is called, completed or asked for help. */
import type { Command } from './args/command.js'

export interface Entry {
  readonly name: string
  /** yargs' form: `<needed> [optional] [many..]`. */
  readonly positionals: string
  readonly summary: string
  load(): Promise<{ readonly command: Command }>
}

export const commands: readonly Entry[] = [
  {
    name: 'import',
    positionals: '[source..]',
    summary: 'Take in images, or a bare layer',
    load: () => import('./commands/import.js'),
  },
  {
    name: 'export',
    positionals: '[image]',
    summary: 'Write an image or a layer, the identical bytes',
    load: () => import('./commands/export.js'),
  },
  {
    name: 'images',
    positionals: '',
    summary: 'List images',
    load: () => import('./commands/images.js'),
  },
  {
    name: 'layers',
    positionals: '',
    summary: 'List layers, committed and writable',
    load: () => import('./commands/layers.js'),
  },
  {
    name: 'tree',
    positionals: '[target]',
    summary: 'Draw the layers, which stands on which',
    load: () => import('./commands/tree.js'),
  },
  {
    name: 'inspect',
    positionals: '<target>',
    summary: 'All that is known of an image or layer, as JSON',
    load: () => import('./commands/inspect.js'),
  },
  {
    name: 'info',
    positionals: '',
    summary: 'The store: root, driver, counts, sizes',
    load: () => import('./commands/info.js'),
  },
  {
    name: 'driver',
    positionals: '<action>',
    summary: 'driver ls: what every backend says to this machine, and why',
    load: () => import('./commands/driver.js'),
  },
  {
    name: 'usage',
    positionals: '<target..>',
    summary: 'The disk that a layer or image takes, and its inodes',
    load: () => import('./commands/usage.js'),
  },
  {
    name: 'ls',
    positionals: '<target> [path]',
    summary: 'List the files of a layer or image',
    load: () => import('./commands/ls.js'),
  },
  {
    name: 'cat',
    positionals: '<target> <path>',
    summary: 'Write a file of a layer or image to standard output',
    load: () => import('./commands/cat.js'),
  },
  {
    name: 'diff',
    positionals: '<a> [b]',
    summary: 'What a layer changes, or what turns A into B',
    load: () => import('./commands/diff.js'),
  },
  {
    name: 'create',
    positionals: '',
    summary: 'Make a writable layer',
    load: () => import('./commands/create.js'),
  },
  {
    name: 'mount',
    positionals: '<id> [target]',
    summary: 'Mount a writable layer, or an image or layer read-only; prints where',
    load: () => import('./commands/mount.js'),
  },
  {
    name: 'umount',
    positionals: '<id> [target]',
    summary: 'Undo one mount',
    load: () => import('./commands/umount.js'),
  },
  {
    name: 'commit',
    positionals: '<id>',
    summary: 'Seal a writable layer, with --name into an image',
    load: () => import('./commands/commit.js'),
  },
  {
    name: 'tag',
    positionals: '<image> <name>',
    summary: 'Give an image another name',
    load: () => import('./commands/tag.js'),
  },
  {
    name: 'rm',
    positionals: '<target..>',
    summary: 'Remove a name, an image or a layer',
    load: () => import('./commands/rm.js'),
  },
  {
    name: 'prune',
    positionals: '',
    summary: 'Remove what nothing needs, and say how much that freed',
    load: () => import('./commands/prune.js'),
  },
  {
    name: 'check',
    positionals: '[layer..]',
    summary: 'Verify the store; --repair what can be',
    load: () => import('./commands/check.js'),
  },
  {
    name: 'repair',
    positionals: '[layer..]',
    summary: 'Heal damaged layers in place, from an image archive or another store',
    load: () => import('./commands/repair.js'),
  },
  {
    name: 'serve',
    positionals: '<engine>',
    summary: 'Be the storage of dockerd or containerd',
    load: () => import('./commands/serve.js'),
  },
  {
    name: 'completion',
    positionals: '[shell]',
    summary: 'Print a completion script for bash, zsh or fish',
    load: () => import('./commands/completion.js'),
  },
]
