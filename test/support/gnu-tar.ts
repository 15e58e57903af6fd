/**
 * The tree of an image as GNU tar makes it: its layers are unpacked in order, and whiteouts are applied here according to
 * the OCI image-spec (layer.md#whiteouts), independently of core.
 */
import { execFileSync } from 'node:child_process'
import { type BigIntStats, lstatSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs'
import { readXattrs } from './oracle.js'

interface Listed {
  /** `d`, `-`, `l`, `h`, `c`, `b`, `p` as `tar -tv` writes it. */
  readonly type: string
  /** Byte string without leading `./` and trailing `/`; `''` for the root. */
  readonly path: string
}

export interface Unpacked {
  /** Directories whose time GNU tar changed, because a layer has files in them but not the directory itself. */
  readonly timeless: ReadonlySet<string>
}

/** Unpacks layer tars (any compression that tar knows) into a new directory. Needs root for owners and devices. */
export function unpackLayers(layers: readonly string[], directory: string): Unpacked {
  mkdirSync(directory, { mode: 0o755 })
  const timeless = new Set<string>()
  for (const layer of layers) {
    const entries = list(layer)
    const told = new Set(entries.filter((entry) => entry.type === 'd').map((entry) => entry.path))
    for (const path of told) timeless.delete(path)
    for (const { path } of entries) if (!told.has(parentOf(path))) timeless.add(parentOf(path))
    for (const entry of entries) makeWay(directory, entry)
    dropXattrs(directory, told)
    const keep = [
      '--xattrs',
      '--xattrs-include=*',
      '--numeric-owner',
      '--same-permissions',
      '--same-owner',
      '--warning=no-timestamp',
    ]
    tar(['-x', ...keep, '--exclude=.wh.*', '-C', directory], layer)
  }
  return { timeless }
}

/** Removes the lower layers' file for a whiteout, or for an entry of another type. */
function makeWay(directory: string, { type, path }: Listed): void {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const parent = parentOf(path)
  if (name === '.wh..wh..opq') {
    for (const child of children(place(directory, parent))) remove(place(directory, join(parent, child)))
  } else if (name.startsWith('.wh.')) {
    remove(place(directory, join(parent, name.slice('.wh.'.length))))
  } else {
    const there = statOf(place(directory, path))
    if (there !== undefined && there.isDirectory() !== (type === 'd')) remove(place(directory, path))
  }
}

/**
 * An entry replaces the attributes of an existing directory (layer.md#applying-changesets); GNU tar would keep an xattr that
 * the entry lacks.
 */
function dropXattrs(directory: string, told: ReadonlySet<string>): void {
  for (const [path, values] of readXattrs(directory)) {
    if (!told.has(path)) continue
    for (const value of values) {
      const name = value.slice(0, value.indexOf('='))
      execFileSync('setfattr', ['-h', '-x', name, place(directory, path).toString()])
    }
  }
}

/** Appends zeros, because `umoci insert` ends an archive after its last byte, without padding, which GNU tar can't read. */
function tar(args: readonly string[], layer: string): string {
  const script = '{ cat "$0"; head -c 10240 /dev/zero; } | tar "$@" -f -'
  return execFileSync('bash', ['-ec', script, layer, ...args], {
    encoding: 'latin1',
    env: { ...process.env, LC_ALL: 'C' },
    maxBuffer: 1 << 28,
  })
}

function list(layer: string): Listed[] {
  const run = (flags: string): string[] =>
    tar([flags, '--quoting-style=escape'], layer).split('\n').slice(0, -1)
  const long = run('-tv')
  return run('-t').map((name, i) => ({ type: long[i]?.charAt(0) ?? '?', path: clean(unescapeName(name)) }))
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
}

/** GNU tar's `escape` quoting: C escapes and octal. */
function unescapeName(text: string): string {
  return text.replace(/\\([0-7]{3}|.)/g, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  )
}

function clean(path: string): string {
  return path
    .replace(/^(\.?\/)+/, '')
    .replace(/\/+$/, '')
    .replace(/^\.$/, '')
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

function place(directory: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, 'latin1')])
}

function statOf(file: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(file, { bigint: true })
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) {
      return undefined
    }
    throw error
  }
}

function children(file: Buffer): string[] {
  if (statOf(file)?.isDirectory() !== true) return []
  return readdirSync(file, 'buffer').map((name) => name.toString('latin1'))
}

/** Removes a tree from below, since rmSync would take names for text. */
function remove(file: Buffer): void {
  for (const child of children(file)) remove(Buffer.concat([file, Buffer.from(`/${child}`, 'latin1')]))
  const stat = statOf(file)
  if (stat !== undefined) removeOne(file, stat)
}

function removeOne(file: Buffer, stat: BigIntStats): void {
  if (stat.isDirectory()) rmdirSync(file)
  else unlinkSync(file)
}
