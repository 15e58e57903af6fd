/** The import rule of the design, read off the sources: what points where, where SQL and system calls may stand. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { checkoutDirectory } from '../fixtures/cache.js'

interface Source {
  /** Relative to the checkout: `core/tar/parse.ts`. */
  readonly path: string
  readonly text: string
  /** Files of ours that it imports, types included. */
  readonly local: readonly string[]
  /** The same without `import type`: what is loaded. */
  readonly loaded: readonly string[]
  /** Packages and node: modules; not those of which only constants are taken. */
  readonly external: readonly string[]
}

const SOURCES = ['core', 'drivers', 'cli'].flatMap(readSources)

/** Folder → folders it may import from. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: ['core'],
  drivers: ['core', 'drivers'],
  cli: ['core', 'drivers', 'cli'],
}

/** Modules that only these may import. A place beyond the rule has its reason. */
const RESERVED: readonly {
  readonly modules: RegExp
  readonly allowed: RegExp
  readonly why: string
}[] = [
  {
    modules: /^koffi$/,
    // libzstd is a library: it computes, and calls the system for nothing.
    allowed: /^core\/(sys\/|compress\/zstd-library\.ts$)/,
    why: 'system calls pass the one seam, core/sys',
  },
  { modules: /^better-sqlite3$/, allowed: /^core\/db\//, why: 'the database is behind core/db' },
  {
    modules: /^(node:)?child_process$/,
    allowed: /^core\/sys\//,
    why: 'commands pass the one seam, core/sys',
  },
  {
    modules: /^(node:)?fs(\/promises)?$/,
    // The command reads and writes a person's own files, outside the store and with nothing to recover.
    allowed: /^(core\/sys\/|cli\/(binary|complete|main|run)\.ts$)/,
    why: 'file-system calls pass the one seam, core/sys',
  },
]

test('the sources are found', () => {
  for (const folder of Object.keys(MAY_IMPORT)) {
    assert.ok(SOURCES.filter(({ path }) => path.startsWith(`${folder}/`)).length > 5, folder)
  }
})

test('core imports neither drivers nor cli, and drivers import core only', () => {
  const wrong = SOURCES.flatMap((source) =>
    source.local
      .filter((target) => !(MAY_IMPORT[top(source.path)] ?? []).includes(top(target)))
      .map((target) => `${source.path} imports ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('a driver imports no other driver', () => {
  const wrong = SOURCES.filter(({ path }) => /^drivers\/[^/]+\//.test(path)).flatMap((source) =>
    source.local
      .filter((target) => /^drivers\/[^/]+\//.test(target) && dirname(target) !== dirname(source.path))
      .map((target) => `${source.path} imports ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('every import leads to a file, and no imports make a cycle', () => {
  const byPath = new Map(SOURCES.map((source) => [source.path, source]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const source = byPath.get(path)
    assert.ok(source !== undefined, `${trail.at(-1)} imports ${path}, which is not there`)
    assert.ok(!trail.includes(path), `a cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`)
    if (done.has(path)) return
    for (const target of source.loaded) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of SOURCES) visit(path, [])
})

for (const { modules, allowed, why } of RESERVED) {
  test(`${modules.source}: only ${allowed.source} imports it, because ${why}`, () => {
    const wrong = SOURCES.filter(({ path }) => !allowed.test(path)).flatMap(({ path, external }) =>
      external.filter((name) => modules.test(name)).map((name) => `${path} imports ${name}`),
    )
    assert.deepEqual(wrong, [])
  })
}

test('SQL stands in core/db alone', () => {
  const sql =
    /\b(SELECT\s[\s\S]*\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET|CREATE\s+TABLE|PRAGMA\s)\b/
  const wrong = SOURCES.filter(({ path, text }) => !path.startsWith('core/db/') && sql.test(text))
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  )
})

test('outside drivers no backend is told by its name', () => {
  const names = 'aufs|btrfs|devicemapper|overlay|vfs|zfs'
  // `mount.type === 'overlay'` is no backend but mount(2)'s own word.
  const subject = '(name|driver|backend)\\w*'
  const name = `['"\`](${names})['"\`]`
  const told = new RegExp(
    `${subject}\\s*[!=]==?\\s*${name}|${name}\\s*[!=]==?\\s*[\\w.]*${subject}|case ${name}`,
    'i',
  )
  const wrong = SOURCES.filter(({ path }) => !path.startsWith('drivers/')).flatMap(({ path, text }) =>
    text
      .split('\n')
      .filter((line) => told.test(line))
      .map((line) => `${path}: ${line.trim()}`),
  )
  assert.deepEqual(wrong, [])
})

function readSources(folder: string): Source[] {
  const root = checkoutDirectory()
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => parse(`${folder}/${name}`, readFileSync(join(root, folder, name), 'utf8')))
}

function parse(path: string, text: string): Source {
  const local: string[] = []
  const loaded: string[] = []
  const external: string[] = []
  const statement = /^(?:import|export)\s+(type\s)?(?:([^'";]*?)\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm
  for (const [, isType, names, from, dynamic] of text.matchAll(statement)) {
    const target = from ?? dynamic ?? ''
    if (!target.startsWith('.')) {
      if (isType === undefined && names?.trim() !== '{ constants }') external.push(target)
    } else {
      const file = normalize(join(dirname(path), target)).replace(/\.js$/, '.ts')
      local.push(file)
      if (isType === undefined) loaded.push(file)
    }
  }
  return { path, text, local, loaded, external }
}

function top(path: string): string {
  return path.split('/')[0] ?? ''
}
