/** The list of commands. A command's module is loaded when the command is run or completed, or its help is shown. */
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
    summary: 'Import images, or a bare layer',
    load: () => import('./commands/import.js'),
  },
  {
    name: 'export',
    positionals: '[image]',
    summary: 'Write an image or a layer; layers are byte for byte as imported',
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
    summary: 'Draw the layers as a tree',
    load: () => import('./commands/tree.js'),
  },
  {
    name: 'inspect',
    positionals: '<target>',
    summary: 'Show all that is known about an image or layer, as JSON',
    load: () => import('./commands/inspect.js'),
  },
  {
    name: 'info',
    positionals: '',
    summary: 'Describe the store: root, driver, counts, sizes',
    load: () => import('./commands/info.js'),
  },
  {
    name: 'driver',
    positionals: '<action>',
    summary: 'driver ls: list the backends, whether each works on this machine, and why',
    load: () => import('./commands/driver.js'),
  },
  {
    name: 'usage',
    positionals: '<target..>',
    summary: 'Show the disk space and inodes that a layer or image takes',
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
    summary: 'Show what a layer changes, or what turns A into B',
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
    summary: 'Mount a writable layer, or an image or layer read-only; print the path',
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
    summary: 'Seal a writable layer; --name makes an image of it',
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
    summary: 'Remove what nothing uses, and say how much space that freed',
    load: () => import('./commands/prune.js'),
  },
  {
    name: 'check',
    positionals: '[layer..]',
    summary: 'Verify the store; --repair mends what it can',
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
    summary: 'Serve as the storage of dockerd or containerd',
    load: () => import('./commands/serve.js'),
  },
  {
    name: 'completion',
    positionals: '[shell]',
    summary: 'Print a completion script for bash, zsh or fish',
    load: () => import('./commands/completion.js'),
  },
]
