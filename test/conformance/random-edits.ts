/** Random trees and random edits, as a container would make them. An edit is chosen by the tree, and is returned as data. */
import { type Dirent, readdirSync } from 'node:fs'
import type { Random } from './random.js'
import { type Attributes, applyEdit, at, type Content, type Edit, type Entry } from './trees.js'

/** Fills an empty directory with `count` entries of every kind, some of them hard links. Returns the edits. */
export function randomTree(root: string, count: number, random: Random): readonly Edit[] {
  return perform(root, count, () => makeSomewhere(look(root), random))
}

/** Changes a tree `count` times, by one or a few edits each. Returns the edits. */
export function randomEdits(root: string, count: number, random: Random): readonly Edit[] {
  return perform(root, count, () => random.pick(ACTIONS)(look(root), random))
}

/**
 * False where the edit does not fit the tree: a name exists, or a directory is missing, not empty, or below the moved one, or
 * an earlier edit of the same action put a symlink to itself there.
 */
export function tryEdit(root: string, edit: Edit): boolean {
  try {
    applyEdit(root, edit)
    return true
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    if (!UNFIT.has(code)) throw error
    return false
  }
}

const UNFIT = new Set(['EEXIST', 'ENOTEMPTY', 'EISDIR', 'ENOTDIR', 'EINVAL', 'ENOENT', 'ELOOP'])

type Kind = 'file' | 'directory' | 'other'
/** The kinds of the existing files by path, directories before their content. */
type Sight = ReadonlyMap<string, Kind>
type Action = (sight: Sight, random: Random) => readonly Edit[]

const ALL: readonly Kind[] = ['file', 'directory', 'other']
const NAMES = ['a', 'b', 'c', 'd', 'e', 'a-b', 'a.b', '.hidden', 'caf\xc3\xa9', 'x y', '\\', ':,', '\xff\n']
const MODES = [0o644, 0o755, 0o600, 0o2755, 0o777, 0o4711, 0o1777]
/** Few, so that files often have the same time and differ in something else. */
const TIMES = [
  0n,
  1_000_000_000n,
  1_000_000_000_500_000_000n,
  1_600_000_000_123_456_789n,
  1_700_000_000_999_999_999n,
]

const ACTIONS: readonly Action[] = [
  makeSomewhere,
  makeSomewhere,
  onFile((path, random) => [{ do: 'rewrite', path, content: someContent(random) }]),
  onFile((path, random) => [{ do: 'append', path, content: 'x'.repeat(1 + random.below(100)) }]),
  onFile((path, random) => [{ do: 'patch and hide', path, at: random.below(5000), byte: random.below(256) }]),
  onFile((path) => [{ do: 'write again', path }]),
  onFile((path) => [{ do: 'open for writing', path }]),
  onFile((path, random) => [{ do: 'truncate', path, size: random.below(20_000) }]),
  onFile((path, random) => [{ do: 'punch', path, at: random.below(3) * 4096, length: 4096 }]),
  onAny((path, random) => [{ do: 'set', path, attributes: { mode: random.pick(MODES) } }]),
  onAny((path, random) => [{ do: 'set', path, attributes: { uid: random.below(3), gid: random.below(3) } }]),
  onAny((path, random) => [{ do: 'set', path, attributes: { mtime: random.pick(TIMES) } }]),
  onAny((path, random) => [{ do: 'set', path, attributes: { xattrs: someXattrs(random) } }]),
  onAny((path) => [{ do: 'remove', path }]),
  onFile((path) => [{ do: 'remove', path }]),
  onAny((path, random) => [{ do: 'make', path, entry: someEntry(random) }]),
  onDirectory((path, random) => [
    { do: 'make', path, entry: { type: 'directory' } },
    ...NAMES.slice(0, random.below(4)).map(
      (name): Edit => ({ do: 'make', path: `${path}/${name}`, entry: someEntry(random) }),
    ),
  ]),
  onAny((path) => [{ do: 'part', path }]),
  onDirectory((path) => [{ do: 'part', path }]),
  onAny((path, random, sight) => [{ do: 'rename', path, to: place(sight, random) }]),
  onAny((path, random, sight) => [{ do: 'rename', path, to: place(sight, random) }]),
  onDirectory((path, random, sight) => [{ do: 'rename', path, to: place(sight, random) }]),
  onFile((path, random, sight) => [{ do: 'link', path, to: place(sight, random) }]),
  onFile((path, random, sight) => [{ do: 'link', path, to: place(sight, random) }]),
  onFile((path, random, sight) => [{ do: 'clone', path, to: pathOf(sight, ['file'], random) ?? path }]),
  changePlaces,
  onDirectory(turnAround),
  onAny(moveDeep),
  chainOfRenames,
]

function perform(root: string, count: number, next: () => readonly Edit[]): readonly Edit[] {
  const done: Edit[] = []
  for (let i = 0; i < count; i++) {
    // These edits belong together: the first that fails ends them.
    for (const edit of next()) {
      if (!tryEdit(root, edit)) break
      done.push(edit)
    }
  }
  return done
}

function makeSomewhere(sight: Sight, random: Random): readonly Edit[] {
  const path = place(sight, random)
  if (sight.has(path)) return []
  const file = random.below(10) === 0 ? pathOf(sight, ['file', 'other'], random) : undefined
  if (file !== undefined) return [{ do: 'link', path: file, to: path }]
  return [{ do: 'make', path, entry: someEntry(random) }]
}

function changePlaces(sight: Sight, random: Random): readonly Edit[] {
  const [a, b] = [pathOf(sight, ALL, random), pathOf(sight, ALL, random)]
  if (a === undefined || b === undefined || within(a, b) || within(b, a)) return []
  return [
    { do: 'rename', path: a, to: 'swap~' },
    { do: 'rename', path: b, to: a },
    { do: 'rename', path: 'swap~', to: b },
  ]
}

/** A directory and its parent swap places. */
function turnAround(path: string): readonly Edit[] {
  const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')))
  if (parent === '') return []
  return [
    { do: 'rename', path, to: 'turn~' },
    { do: 'rename', path: parent, to: 'turn~/down~' },
    { do: 'rename', path: 'turn~', to: parent },
  ]
}

function moveDeep(path: string, random: Random): readonly Edit[] {
  const deep = `deep~${random.below(1000)}`
  const directories = [deep, `${deep}/one`, `${deep}/one/two`]
  return [
    ...directories.map((each): Edit => ({ do: 'make', path: each, entry: { type: 'directory' } })),
    { do: 'rename', path, to: `${deep}/one/two/moved` },
  ]
}

/** Each file takes the place of the one before. */
function chainOfRenames(sight: Sight, random: Random): readonly Edit[] {
  const edits: Edit[] = []
  let to = `chain~${random.below(1000)}`
  for (let i = 0; i < 4; i++) {
    const path = pathOf(sight, ALL, random)
    if (path === undefined) break
    edits.push({ do: 'rename', path, to })
    to = path
  }
  return edits
}

function someEntry(random: Random): Entry {
  const attributes: Attributes = random.below(3) === 0 ? { mtime: random.pick(TIMES) } : {}
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      return { type: 'directory', mode: random.pick([0o755, 0o700, 0o1777]), ...attributes }
    case 3:
      return { type: 'symlink', target: random.pick(['a', '../b', '/etc/passwd', 'no\xff']), ...attributes }
    case 4:
      return { type: 'fifo', ...attributes }
    case 5:
      return { type: 'char', major: 1, minor: 3 + random.below(3), ...attributes }
    default:
      return { type: 'file', content: someContent(random), mode: random.pick(MODES), ...attributes }
  }
}

/** Sizes repeat as well, and now and then there is a hole large enough for a sparse map. */
function someContent(random: Random): Content {
  const size = random.pick([0, 1, 100, 100, 4096, 10_000])
  const fill = random.below(4)
  return random.below(20) > 0
    ? { size, fill }
    : { size: 1_500_000, fill, hole: { from: size, to: 1_400_000 } }
}

function someXattrs(random: Random): Readonly<Record<string, string>> {
  return { [random.pick(['trusted.one', 'trusted.two'])]: random.pick(['', 'one', '\0\xff\n']) }
}

function onFile(edit: (path: string, random: Random, sight: Sight) => readonly Edit[]): Action {
  return on(['file'], edit)
}
function onDirectory(edit: (path: string, random: Random, sight: Sight) => readonly Edit[]): Action {
  return on(['directory'], edit)
}
function onAny(edit: (path: string, random: Random, sight: Sight) => readonly Edit[]): Action {
  return on(ALL, edit)
}

function on(
  kinds: readonly Kind[],
  edit: (path: string, random: Random, sight: Sight) => readonly Edit[],
): Action {
  return (sight, random) => {
    const path = pathOf(sight, kinds, random)
    return path === undefined ? [] : edit(path, random, sight)
  }
}

/** A path, existing or not, in an existing directory. */
function place(sight: Sight, random: Random): string {
  const parent = random.pick(['', ...pathsOf(sight, ['directory'])])
  const name = random.pick(NAMES)
  return parent === '' ? name : `${parent}/${name}`
}

function pathOf(sight: Sight, kinds: readonly Kind[], random: Random): string | undefined {
  const paths = pathsOf(sight, kinds)
  return paths.length === 0 ? undefined : random.pick(paths)
}

function pathsOf(sight: Sight, kinds: readonly Kind[]): readonly string[] {
  return [...sight].filter(([, kind]) => kinds.includes(kind)).map(([path]) => path)
}

function within(path: string, inside: string): boolean {
  return inside === path || inside.startsWith(`${path}/`)
}

function look(root: string, path = '', into = new Map<string, Kind>()): Sight {
  const entries = readdirSync(at(root, path), {
    withFileTypes: true,
    encoding: 'buffer',
  }) as unknown as readonly Named[]
  const named = entries.map((entry) => [entry.name.toString('latin1'), entry] as const)
  for (const [name, entry] of named.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const child = path === '' ? name : `${path}/${name}`
    into.set(child, entry.isFile() ? 'file' : entry.isDirectory() ? 'directory' : 'other')
    if (entry.isDirectory()) look(root, child, into)
  }
  return into
}

/** Node's types don't know that names are Buffers with this encoding. */
type Named = Pick<Dirent, 'isFile' | 'isDirectory'> & { readonly name: Buffer }
