/**
 * The import rule of the design, checked on the sources: which room may use which, and where SQL and system calls may be.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { checkoutDirectory } from '../fixtures/cache.js'
import { roomIndexes } from './room-index.js'
import { FLOORS, readAllSources, roomOf, roomsDiagram } from './rooms.js'

const SOURCES = readAllSources()

/** Modules that only these files may import. Exceptions have their reason beside them. */
const RESERVED: readonly {
  readonly modules: RegExp
  readonly allowed: RegExp
  readonly why: string
}[] = [
  {
    modules: /^koffi$/,
    // libzstd only computes, and makes no system calls.
    allowed: /^core\/(sys\/|compress\/zstd-library\.ts$)/,
    why: 'system calls go through core/sys',
  },
  { modules: /^better-sqlite3$/, allowed: /^core\/db\//, why: 'the database is used only by core/db' },
  {
    modules: /^(node:)?child_process$/,
    allowed: /^core\/sys\//,
    why: 'commands are run only by core/sys',
  },
  {
    modules: /^(node:)?fs(\/promises)?$/,
    // The command reads and writes the user's own files, outside the store and with nothing to recover.
    allowed: /^(core\/sys\/|cli\/(complete|main|run|print\/binary)\.ts$)/,
    why: 'file-system calls go through core/sys',
  },
]

/** All that the command imports of core and drivers. A file beside the public API has its reason. */
const FACES: Readonly<Record<string, string>> = {
  'core/store.ts': 'the public API',
  'core/face/command.ts': 'how core waits and words things, for no other program',
  'core/face/service.ts': 'system calls for sockets and locks, for no other program',
  'core/sys/standard.ts': 'the standard streams of a process; `varve --version` loads nothing more',
  'drivers/all.ts': 'the public list of drivers',
}

test('the sources are found', () => {
  for (const folder of ['core', 'drivers', 'cli']) {
    assert.ok(SOURCES.filter(({ path }) => path.startsWith(`${folder}/`)).length > 5, folder)
  }
})

test('every folder is a room with a place in the order, and every import leads to a file', () => {
  const paths = new Set(SOURCES.map(({ path }) => path))
  const rooms = new Set(SOURCES.map(({ path }) => roomOf(path)))
  assert.deepEqual(
    [...rooms].filter((room) => !FLOORS.includes(room)),
    [],
    'folders without a place in test/rooms.ts',
  )
  assert.deepEqual(
    FLOORS.filter((room) => !rooms.has(room)),
    [],
    'rooms without files',
  )
  assert.deepEqual(
    imports().filter(([, target]) => !paths.has(target)),
    [],
  )
})

test('no import climbs: a room imports only rooms below it, including types', () => {
  const climbing = imports().filter(([path, target]) => {
    const [from, to] = [FLOORS.indexOf(roomOf(path)), FLOORS.indexOf(roomOf(target))]
    return from > to
  })
  assert.deepEqual(climbing, [])
})

test('no imports make a circle, including types', () => {
  const byPath = new Map(SOURCES.map((source) => [source.path, source]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `a circle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`)
    if (done.has(path)) return
    for (const target of byPath.get(path)?.local ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of SOURCES) visit(path, [])
})

test('of core and drivers, cli imports the public API and three named files beside it, types too', () => {
  const outside = imports().filter(([path, target]) => path.startsWith('cli/') && !target.startsWith('cli/'))
  assert.deepEqual(
    outside.filter(([, target]) => !(target in FACES)),
    [],
  )
  assert.deepEqual([...new Set(outside.map(([, target]) => target))].sort(), Object.keys(FACES).sort())
})

test('drivers import neither cli nor one another, and core imports neither', () => {
  // drivers/overlayfs knows a file system, not a backend: any driver may use overlayfs.
  const shared = ['drivers', 'drivers/overlayfs']
  const wrong = imports().filter(([path, target]) => {
    if (path.startsWith('core/')) return !target.startsWith('core/')
    if (!path.startsWith('drivers/')) return false
    if (target.startsWith('core/')) return false
    return ![...shared, dirname(path)].includes(dirname(target)) && path !== 'drivers/all.ts'
  })
  assert.deepEqual(wrong, [])
})

test('the README of each room has its current files', () => {
  for (const { file, text } of roomIndexes(SOURCES))
    assert.equal(
      readFileSync(join(checkoutDirectory(), file), 'utf8'),
      text,
      `${file}: npm run table -- rooms`,
    )
})

test('core/README.md shows the current rooms', () => {
  const readme = readFileSync(join(checkoutDirectory(), 'core/README.md'), 'utf8')
  assert.ok(readme.includes(roomsDiagram(SOURCES)), 'update it: npm run table -- rooms')
})

for (const { modules, allowed, why } of RESERVED) {
  test(`${modules.source}: only ${allowed.source} imports it, because ${why}`, () => {
    const wrong = SOURCES.filter(({ path }) => !allowed.test(path)).flatMap(({ path, external }) =>
      external.filter((name) => modules.test(name)).map((name) => `${path} imports ${name}`),
    )
    assert.deepEqual(wrong, [])
  })
}

test('SQL is only in core/db', () => {
  const sql =
    /\b(SELECT\s[\s\S]*\sFROM|INSERT\s+(OR\s+\w+\s+)?INTO|DELETE\s+FROM|UPDATE\s+\w+\s+SET|CREATE\s+TABLE|PRAGMA\s)\b/
  const wrong = SOURCES.filter(({ path, text }) => !path.startsWith('core/db/') && sql.test(text))
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  )
})

test('no code outside drivers asks for a backend’s name', () => {
  const names = 'aufs|btrfs|devicemapper|overlay|vfs|zfs'
  // `mount.type === 'overlay'` is allowed: it is a word of mount(2), not a backend.
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

/** Every import of one of our files by another. */
function imports(): readonly (readonly [path: string, target: string])[] {
  return SOURCES.flatMap(({ path, local }) => local.map((target) => [path, target] as const))
}
