/** Random trees and random edits of them, as a container would make them: Node's fs and two commands, from a seed. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'

export interface Random {
  /** 0 to `limit` - 1 */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
}

/** mulberry32: small, and the same everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) % limit
  }
  return {
    below,
    pick(from) {
      const found = from[below(from.length)]
      if (found === undefined) throw new RangeError('nothing to pick from')
      return found
    },
  }
}

/** Fills an empty directory: `count` entries of every kind, some of them links of one file. */
export function makeTree(root: string, count: number, random: Random): void {
  for (let i = 0; i < count; i++) makeEntry(root, random)
}

/** Changes a tree `count` times and says how, for the message of a failed test. */
export function editTree(root: string, count: number, random: Random): readonly string[] {
  const log: string[] = []
  for (let i = 0; i < count; i++) {
    const [name, edit] = random.pick(EDITS)
    try {
      const done = edit(root, random)
      if (done !== undefined) log.push(`${name} ${done.map((path) => path.slice(root.length)).join(' ')}`)
    } catch (error) {
      // Not every edit fits every tree: a name is taken, a directory not empty, a rename crosses layers.
      if (!(error instanceof Error) || !/^(EEXIST|ENOTEMPTY|EXDEV|EISDIR|ENOTDIR|EINVAL)/.test(error.message))
        throw error
    }
  }
  return log
}

type Edit = (root: string, random: Random) => readonly string[] | undefined

const NAMES = ['a', 'b', 'c', 'd', 'e', 'a-b', 'a.b', '.hidden', 'caf\u00e9', 'x y', '\\', ':,']
const TIMES = [0, 1, 1_000_000_000.5, 1_600_000_000.123, 1_700_000_000.999]

const EDITS: readonly (readonly [name: string, edit: Edit])[] = [
  ['make', (root, random) => [makeEntry(root, random)]],
  ['make', (root, random) => [makeEntry(root, random)]],
  ['rewrite', (root, random) => onFile(root, random, (path) => fs.writeFileSync(path, content(random)))],
  ['append', (root, random) => onFile(root, random, (path) => fs.appendFileSync(path, content(random)))],
  [
    'edit in place, time put back',
    (root, random) =>
      onFile(root, random, (path) => {
        const { size } = fs.lstatSync(path)
        const reference = `${path}.time`
        if (size === 0) return
        execFileSync('touch', ['-r', path, reference])
        const fd = fs.openSync(path, 'r+')
        fs.writeSync(fd, Buffer.from([random.below(256)]), 0, 1, random.below(size))
        fs.closeSync(fd)
        execFileSync('touch', ['-r', reference, path])
        fs.unlinkSync(reference)
      }),
  ],
  [
    'open for writing',
    (root, random) => onFile(root, random, (path) => fs.closeSync(fs.openSync(path, 'r+'))),
  ],
  ['punch', (root, random) => onFile(root, random, (path) => fs.truncateSync(path, random.below(20_000)))],
  ['chmod', (root, random) => onEntry(root, random, (path) => chmod(path, random))],
  ['same mode', (root, random) => onEntry(root, random, (path) => chmodSame(path))],
  [
    'chown',
    (root, random) => onEntry(root, random, (path) => fs.lchownSync(path, random.below(3), random.below(3))),
  ],
  [
    'time',
    (root, random) =>
      onEntry(root, random, (path) => fs.lutimesSync(path, random.pick(TIMES), random.pick(TIMES))),
  ],
  ['xattr', (root, random) => onEntry(root, random, (path) => setXattr(path, random))],
  ['remove', (root, random) => onEntry(root, random, (path) => fs.rmSync(path, { recursive: true }))],
  ['unlink', (root, random) => onFile(root, random, (path) => fs.unlinkSync(path))],
  [
    'remove and make a directory',
    (root, random) =>
      onDirectory(root, random, (path) => {
        fs.rmSync(path, { recursive: true })
        fs.mkdirSync(path)
        makeTree(path, random.below(3), random)
      }),
  ],
  [
    'copy a directory over itself',
    (root, random) =>
      onDirectory(root, random, (path) => {
        execFileSync('cp', ['-a', path, `${path}~`])
        fs.rmSync(path, { recursive: true })
        fs.renameSync(`${path}~`, path)
      }),
  ],
  ['replace by another kind', (root, random) => onEntry(root, random, (path) => replace(path, random))],
  ['rename', (root, random) => onEntry(root, random, (path) => fs.renameSync(path, place(root, random)))],
  ['rename', (root, random) => onDirectory(root, random, (path) => fs.renameSync(path, place(root, random)))],
  ['link', (root, random) => onFile(root, random, (path) => fs.linkSync(path, place(root, random)))],
  [
    'part links',
    (root, random) =>
      onFile(root, random, (path) => {
        execFileSync('cp', ['-a', path, `${path}~`])
        fs.renameSync(`${path}~`, path)
      }),
  ],
]

function makeEntry(root: string, random: Random): string {
  const path = place(root, random)
  if (fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined) return path
  switch (random.below(10)) {
    case 0:
    case 1:
    case 2:
      fs.mkdirSync(path, { mode: random.pick([0o755, 0o700, 0o1777]) })
      break
    case 3:
      fs.symlinkSync(random.pick(['a', '../b', '/etc/passwd', 'nowhere']), path)
      break
    case 4:
      execFileSync('mkfifo', [path])
      break
    case 5:
      execFileSync('mknod', [path, 'c', '1', String(3 + random.below(3))])
      break
    case 6: {
      const [other] = onFile(root, random, (file) => fs.linkSync(file, path)) ?? []
      if (other === undefined) fs.writeFileSync(path, '')
      break
    }
    default:
      fs.writeFileSync(path, content(random), { mode: random.pick([0o644, 0o600, 0o4755]) })
  }
  return path
}

/** A path whose directory is there. */
function place(root: string, random: Random): string {
  const directories = [root, ...allBelow(root).filter((path) => fs.lstatSync(path).isDirectory())]
  return join(random.pick(directories), random.pick(NAMES))
}

function replace(path: string, random: Random): void {
  fs.rmSync(path, { recursive: true })
  if (random.below(3) === 0) fs.mkdirSync(path)
  else if (random.below(2) === 0) fs.symlinkSync('elsewhere', path)
  else fs.writeFileSync(path, content(random))
  if (fs.lstatSync(path).isDirectory()) makeTree(path, random.below(3), random)
}

function chmod(path: string, random: Random): void {
  if (!fs.lstatSync(path).isSymbolicLink())
    fs.chmodSync(path, random.pick([0o644, 0o755, 0o600, 0o2755, 0o777]))
}

function chmodSame(path: string): void {
  const { mode } = fs.lstatSync(path)
  if ((mode & fs.constants.S_IFMT) !== fs.constants.S_IFLNK) fs.chmodSync(path, mode & 0o7777)
}

function setXattr(path: string, random: Random): void {
  const stat = fs.lstatSync(path)
  if (!stat.isFile() && !stat.isDirectory()) return
  const value = random.pick(['', 'one', '0x00ff0a'])
  execFileSync('setfattr', ['-h', '-n', random.pick(['user.one', 'trusted.two']), '-v', value, path])
}

function content(random: Random): Buffer {
  return Buffer.alloc(random.pick([0, 1, 100, 100, 4096, 10_000]), `${random.below(1000)}`)
}

function onEntry(root: string, random: Random, edit: (path: string) => void): readonly string[] | undefined {
  return onOne(allBelow(root), random, edit)
}

function onFile(root: string, random: Random, edit: (path: string) => void): readonly string[] | undefined {
  const files = allBelow(root).filter((path) => fs.lstatSync(path).isFile())
  return onOne(files, random, edit)
}

function onDirectory(
  root: string,
  random: Random,
  edit: (path: string) => void,
): readonly string[] | undefined {
  const directories = allBelow(root).filter((path) => fs.lstatSync(path).isDirectory())
  return onOne(directories, random, edit)
}

function onOne(
  paths: readonly string[],
  random: Random,
  edit: (path: string) => void,
): readonly string[] | undefined {
  if (paths.length === 0) return undefined
  const path = random.pick(paths)
  edit(path)
  return [path]
}

/** Never through a symlink, as Node's own recursive listing goes. */
function allBelow(root: string): readonly string[] {
  const found: string[] = []
  for (const name of fs.readdirSync(root).sort()) {
    const path = join(root, name)
    found.push(path)
    if (fs.lstatSync(path).isDirectory()) found.push(...allBelow(path))
  }
  return found
}
