import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { promisify } from 'node:util'
import Sqlite from 'better-sqlite3'
import { type Database, openDatabase } from '../../../core/db/database.js'
import type { FileRow } from '../../../core/db/files.js'
import { schemaVersion } from '../../../core/db/schema.js'
import { VarveError } from '../../../core/errors.js'
import { parseLayerId } from '../../../core/ids.js'

const run = promisify(execFile)

async function inFolder(work: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-db-`)
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

test('A database of a newer varve is refused, with its schema in the error.', () =>
  inFolder((folder) => {
    openDatabase(`${folder}/a.db`).close()
    const raw = new Sqlite(`${folder}/a.db`)
    raw.pragma(`user_version = ${schemaVersion() + 6}`)
    raw.close()
    assert.throws(
      () => openDatabase(`${folder}/a.db`),
      fails('FAILED_PRECONDITION', new RegExp(`newer varve: schema ${schemaVersion() + 6}, .* upgrade`)),
    )
  }))

test('Only its owner may read a database, whether it is new or was open to all.', () =>
  inFolder((folder) => {
    const file = `${folder}/a.db`
    const modes = () => ['', '-wal', '-shm'].map((rest) => (statSync(file + rest).mode & 0o777).toString(8))
    const umask = process.umask(0)
    try {
      const first = openDatabase(file)
      assert.deepEqual(modes(), ['600', '600', '600'])
      for (const rest of ['', '-wal', '-shm']) chmodSync(file + rest, 0o644)
      const second = openDatabase(file)
      assert.deepEqual(modes(), ['600', '600', '600'])
      first.close()
      second.close()
    } finally {
      process.umask(umask)
    }
  }))

test("A database that isn't varve's is refused and left unchanged.", () =>
  inFolder((folder) => {
    const raw = new Sqlite(`${folder}/a.db`)
    raw.exec('CREATE TABLE precious (x); PRAGMA application_id = 7')
    raw.close()
    assert.throws(
      () => openDatabase(`${folder}/a.db`),
      fails('FAILED_PRECONDITION', /not a database of varve/),
    )
  }))

test('A damaged file is CORRUPT, and the error says what to do.', () =>
  inFolder((folder) => {
    writeFileSync(
      `${folder}/text.db`,
      'this is no database at all, but it is long enough to have a header\n'.repeat(99),
    )
    assert.throws(() => openDatabase(`${folder}/text.db`), fails('CORRUPT', /backup.*varve check --repair/))

    const db = openDatabase(`${folder}/cut.db`)
    const node = addNode(db)
    db.files.insertMany(
      node,
      Array.from({ length: 2_000 }, (_, i) => file(`f${i}`)),
    )
    db.close()
    truncateSync(`${folder}/cut.db`, 40_960)
    assert.throws(
      () => {
        const cut = openDatabase(`${folder}/cut.db`)
        try {
          for (const _ of cut.files.list(node));
        } finally {
          cut.close()
        }
      },
      fails('CORRUPT', /damaged/),
    )
  }))

test('A full disk is RESOURCE_EXHAUSTED and changes nothing.', () =>
  inFolder((folder) => {
    const db = openDatabase(`${folder}/a.db`)
    try {
      const node = addNode(db)
      const pages = Number(db.sql.pragma('page_count'))
      db.sql.pragma(`max_page_count = ${pages + 4}`)
      assert.throws(
        () => db.split.append(node, new Uint8Array(1_000_000)),
        fails('RESOURCE_EXHAUSTED', /Free some space/),
      )
      assert.deepEqual(db.split.size(node), { size: 0, chunks: 0 })
      db.sql.pragma('max_page_count = 1000000')
      db.split.append(node, new Uint8Array(1_000_000))
      assert.equal(db.split.size(node).size, 1_000_000)
    } finally {
      db.close()
    }
  }))

test('A database locked by another process is UNAVAILABLE after the wait.', () =>
  inFolder((folder) => {
    const holder = openDatabase(`${folder}/a.db`)
    const other = openDatabase(`${folder}/a.db`, { busyTimeout: 20 })
    try {
      holder.tx(() => {
        assert.throws(() => other.meta.set('uuid', 'x'), fails('UNAVAILABLE', /another process/))
        assert.equal(other.meta.get('uuid'), undefined, 'reads go on')
      })
    } finally {
      other.close()
      holder.close()
    }
  }))

test('Six processes may create the same database at once.', () =>
  inFolder(async (folder) => {
    const module = new URL('../../../core/db/database.js', import.meta.url).href
    const script = `import { openDatabase } from ${JSON.stringify(module)}
      const db = openDatabase(${JSON.stringify(`${folder}/a.db`)})
      for (let i = 0; i < 20; i++) db.tx(() => db.meta.set('uuid', String(Number(db.meta.get('uuid') ?? 0) + 1)))
      db.close()`
    await Promise.all(
      Array.from({ length: 6 }, () => run(process.execPath, ['--input-type=module', '-e', script])),
    )
    const db = openDatabase(`${folder}/a.db`)
    assert.equal(db.meta.get('uuid'), '120', 'all increments of all processes are there')
    db.close()
  }))

test('A transaction that throws leaves nothing, and one inside another joins it.', () => {
  const db = openDatabase(':memory:')
  assert.throws(() =>
    db.tx(() => {
      db.tx(() => db.meta.set('driver', 'x'))
      throw new Error('no')
    }),
  )
  assert.equal(db.meta.get('driver'), undefined)
  db.close()
})

const file = (path: string, more: Partial<FileRow> = {}): FileRow => ({
  path,
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 1,
  mtimeSec: 0,
  mtimeNsec: 0,
  ...more,
})
const dir = (path: string, more: Partial<FileRow> = {}) => file(path, { type: 'directory', ...more })
const gone = (path: string) => file(path, { type: 'whiteout' })
/** An implied directory that has only marks (whiteouts, opaque markers) in it. */
const marks = (path: string) => dir(path, { implied: true, marksOnly: true })
const link = (path: string, hardlink: string) => file(path, { hardlink })

/** Rows in a tar's order, and the rows that must result: path, type and what else matters. */
const UPSERTS: readonly (readonly [title: string, rows: readonly FileRow[], result: readonly string[]])[] = [
  ['a later entry replaces an earlier one', [file('a'), file('a', { size: 7 })], ['a file 7']],
  [
    'a file over a directory removes everything below it',
    [dir('a'), file('a/x'), file('a-b'), file('a')],
    ['a file 1', 'a-b file 1'],
  ],
  ['a directory over a file is opaque', [file('a'), dir('a')], ['a directory 1 opaque']],
  ['a whiteout does not remove a file of its own layer', [file('a'), gone('a')], ['a file 1']],
  ['a whiteout after a directory makes it opaque', [dir('a'), gone('a')], ['a directory 1 opaque']],
  ['a directory after a whiteout is opaque', [gone('a'), dir('a')], ['a directory 1 opaque']],
  ['a file after a whiteout', [gone('a'), file('a')], ['a file 1']],
  [
    'an opaque marker before the directory stays',
    [dir('a', { implied: true, opaque: true }), dir('a', { mode: 0o700 })],
    ['a directory 1 opaque'],
  ],
  [
    'an implied directory never replaces a real one',
    [dir('a', { mode: 0o700 }), dir('a', { implied: true })],
    ['a directory 1'],
  ],
  [
    'the next hard link gets the content when the first name is replaced',
    [file('a', { size: 5 }), link('b', 'a'), link('c', 'a'), file('a', { size: 9 })],
    ['a file 9', 'b file 5', 'c file 1 ->b'],
  ],
  [
    'a hard link outside a replaced directory gets the content',
    [dir('d'), file('d/a', { size: 5 }), link('d/b', 'd/a'), link('x', 'd/a'), file('d')],
    ['d file 1', 'x file 5'],
  ],
  [
    'a link to a link is kept when that is replaced',
    [file('a'), link('b', 'a'), link('c', 'b'), file('b')],
    ['a file 1', 'b file 1', 'c file 1 ->a'],
  ],
  ['a whiteout replaces a directory of marks alone', [marks('a'), gone('a/x'), gone('a')], ['a whiteout 1']],
  [
    'marks don’t undo a whiteout, nor replace a file',
    [gone('a'), marks('a'), file('b'), marks('b')],
    ['a whiteout 1', 'b file 1'],
  ],
  [
    'a file in it makes a directory of marks alone real',
    [marks('a'), gone('a/x'), dir('a', { implied: true }), file('a/y')],
    ['a directory 1 implied', 'a/x whiteout 1', 'a/y file 1'],
  ],
  ['a link to a lower layer is recorded as one', [link('b', 'below')], ['b file 1 ->below implied']],
]

for (const [title, rows, result] of UPSERTS) {
  test(`File index: ${title}.`, () => {
    const db = openDatabase(':memory:')
    const node = addNode(db)
    for (const row of rows) db.files.insertMany(node, [row])
    const shown = [...db.files.list(node)].map(
      (row) =>
        `${row.path} ${row.type} ${row.size}${row.hardlink === undefined ? '' : ` ->${row.hardlink}`}` +
        `${row.opaque ? ' opaque' : ''}${row.implied ? ' implied' : ''}`,
    )
    assert.deepEqual(shown, result)
    db.close()
  })
}

test('File index: names are bytes, attributes are kept, and pages join without a gap.', () => {
  const db = openDatabase(':memory:')
  const node = addNode(db)
  const odd = file('a/\xff\x01', {
    uid: 2 ** 40,
    mtimeSec: -5,
    mtimeNsec: 999_999_999,
    xattrs: new Map([['user.\xe9', '\x00\xff"']]),
    sha256: 'ab'.repeat(32),
  })
  const names = Array.from({ length: 1_700 }, (_, i) => `a/${String(i).padStart(5, '0')}`)
  db.files.insertMany(node, [dir('a'), odd, file('a-b'), file('a0'), ...names.map((path) => file(path))])
  const found = db.files.get(node, odd.path)
  assert.deepEqual(found && { ...found, opaque: undefined }, {
    ...odd,
    target: undefined,
    hardlink: undefined,
    devMajor: 0,
    devMinor: 0,
    implied: false,
    marksOnly: false,
    opaque: undefined,
  })
  assert.deepEqual(
    [...db.files.list(node, { prefix: 'a' })].map((row) => row.path),
    ['a', ...names, odd.path],
  )
  assert.deepEqual(
    [...db.files.children(node, '')].map((row) => row.path),
    ['a', 'a-b', 'a0'],
  )
  assert.equal([...db.files.children(node, 'a')].length, 1_701)
  db.close()
})

test('Split record and payloads: bytes are returned in order, in chunks of at most 256 KiB.', () => {
  const db = openDatabase(':memory:')
  const node = addNode(db)
  const bytes = Buffer.alloc(700_000, 'varve')
  db.split.append(node, bytes.subarray(0, 1))
  db.split.append(node, bytes.subarray(1))
  const chunks = [...db.split.chunks(node)]
  assert.ok(chunks.every((chunk) => chunk.length <= 256 * 1024))
  assert.deepEqual(Buffer.concat(chunks), bytes)
  const sha = 'cd'.repeat(32)
  assert.equal(db.payloads.has(node, sha), false)
  db.payloads.append(node, sha, bytes)
  assert.deepEqual(Buffer.concat([...db.payloads.chunks(node, sha)]), bytes)
  assert.deepEqual(db.payloads.list(node), [{ sha256: sha, size: bytes.length }])
  db.nodes.delete(node)
  assert.deepEqual(db.split.size(node), { size: 0, chunks: 0 }, 'they go with their node')
  db.close()
})

function addNode(db: Database): number {
  return db.nodes.insert({
    layer: parseLayerId('aaaa'),
    parent: undefined,
    kind: 'committed',
    state: 'creating',
  })
}
