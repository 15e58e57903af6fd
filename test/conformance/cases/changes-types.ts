/** Every type of file replaced by every other. */
import { editCase, seconds } from '../edit-case.js'
import type { Case } from '../suite.js'
import { device, directory, type Edit, type Entry, fifo, file, symlink, type Tree } from '../trees.js'

const KINDS: Readonly<Record<string, Entry>> = {
  file: file('a file', { mtime: seconds(5000) }),
  directory: directory({ mtime: seconds(1001) }),
  symlink: symlink('somewhere', { mtime: seconds(5000) }),
  char: device('char', 1, 3, { mtime: seconds(5000) }),
  block: device('block', 1, 3, { mtime: seconds(5000) }),
  fifo: fifo({ mtime: seconds(5000) }),
}

/** A directory with a file of this type for each other type, which will replace it. */
export const typeCases: readonly Case[] = Object.keys(KINDS).map((from) => {
  const others = Object.keys(KINDS).filter((kind) => kind !== from)
  return editCase({
    title: `a ${from} that becomes anything else is one modify, and its new content is added`,
    base: Object.assign(
      { '': directory({ mtime: seconds(1000) }) },
      ...others.map((to) => placed(from, `to-${to}`)),
    ),
    edits: others.flatMap((to) => made(to, `to-${to}`)),
    changes: ['C ', ...others.flatMap((to) => told(to, `to-${to}`))].sort((a, b) =>
      a.slice(2) < b.slice(2) ? -1 : 1,
    ),
  })
})

/** An entry of the kind; a directory with files, which are deleted with it. */
function placed(kind: string, path: string): Tree {
  const entry = KINDS[kind] ?? file()
  if (kind !== 'directory') return { [path]: entry }
  return {
    [path]: entry,
    [`${path}/below`]: directory({ mtime: seconds(1002) }),
    [`${path}/below/f`]: file(),
  }
}

function made(kind: string, path: string): Edit[] {
  return Object.entries(placed(kind, path)).map(([each, entry]) => ({ do: 'make', path: each, entry }))
}

function told(kind: string, path: string): string[] {
  return Object.keys(placed(kind, path)).map((each) => `${each === path ? 'C' : 'A'} ${each}`)
}
