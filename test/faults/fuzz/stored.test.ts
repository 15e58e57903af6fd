/** A store's own files, damaged with valid checksums as by another program, are refused with a clear error. */
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { decodeEntry, decodeHead, encodeChange, encodeEntry } from '../../../core/journal/line.js'
import { readRecord, writeRecord } from '../../../core/records/record-file.js'
import { replay } from '../../../core/records/replay.js'
import { openStore } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { inWorld } from '../damage/database-world.js'
import { sized } from '../size.js'
import { fuzz } from './fuzz.js'

const SUM = 32
const sumOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

test('records of layers with valid checksums', async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'varve-fuzz-'))
  t.after(() => rmSync(place, { recursive: true, force: true }))
  const file = join(place, 'record')
  writeRecord(
    file,
    {
      layer: 'abcdefgh',
      parent: null,
      created: 1,
      size: 7,
      inodes: 1,
      labels: { a: 'b' },
      names: [{ space: 'id', name: 'x' }],
      tar: {} as never,
    },
    [
      { kind: 'split', bytes: Buffer.from('split') },
      { kind: 'payload', sha256: '00'.repeat(32), bytes: Buffer.from('payload') },
      { kind: 'left-out', found: [] },
    ],
  )
  const seed = readFileSync(file).subarray(0, -SUM)
  await fuzz(t, {
    title: 'records',
    seeds: [seed],
    runs: sized(2_000, 50_000),
    run(input) {
      writeFileSync(file, Buffer.concat([input, sumOf(input)]))
      readRecord(file)
    },
  })
})

test('lines of the journal with valid checksums', (t) => {
  const row = { id: 1, config: Buffer.from('{}') }
  const changes = [encodeChange({ table: 'image', row, isGone: false })]
  const line = encodeEntry({ generation: 7, covers: 1, uuid: 'u', isBase: true, changes })
  return fuzz(t, {
    title: 'journal with checksums',
    seeds: [line.subarray(17, -1)],
    runs: sized(5_000, 100_000),
    run(input) {
      const json = input.toString('utf8')
      const mended = `${sumOf(Buffer.from(json)).toString('hex').slice(0, 16)} ${json}`
      decodeHead(mended)
      const entry = decodeEntry(mended)
      if (entry !== undefined) replay([entry])
    },
  })
})

/** Values that another program may have put into a cell. */
const VALUES: readonly (string | number | Buffer | null)[] = [
  null,
  '',
  'x',
  '{',
  '[]',
  '../../x',
  0,
  -1,
  4711,
  2 ** 53 - 1,
  1.5,
  Buffer.alloc(0),
  Buffer.alloc(33, 0xff),
]

test('cells of the database', (t) =>
  inWorld(async ({ root, killed }) => {
    const sound = join(killed, 'sound.db')
    copyFileSync(join(root, 'varve.db'), sound)
    const columns = columnsOf(sound)
    await fuzz(t, {
      title: 'database',
      seeds: [Buffer.alloc(12, 7), Buffer.from('0123456789ab')],
      runs: sized(150, 5_000),
      async run(input) {
        for (const end of ['-wal', '-shm']) rmSync(join(root, `varve.db${end}`), { force: true })
        copyFileSync(sound, join(root, 'varve.db'))
        const at = (index: number) => input[index] ?? 0
        const { table, column } = columns[(at(0) * 256 + at(1)) % columns.length] ?? { table: '', column: '' }
        put(join(root, 'varve.db'), {
          table,
          column,
          row: at(2),
          value: VALUES[at(3) % VALUES.length] ?? null,
        })
        const store = await openStore({ root, drivers: [vfs] })
        try {
          store.images()
          for (const { id } of store.layers()) for await (const _ of store.list(id));
          for await (const _ of store.check());
        } finally {
          await store.close()
        }
      },
    })
  }))

function columnsOf(file: string): readonly { readonly table: string; readonly column: string }[] {
  const db = new Sqlite(file, { readonly: true })
  try {
    return db
      .prepare<[], { table: string; column: string }>(
        `SELECT m.name AS "table", c.name AS "column" FROM sqlite_schema m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2`,
      )
      .all()
  } finally {
    db.close()
  }
}

interface Cell {
  readonly table: string
  readonly column: string
  /** Modulo the number of rows. */
  readonly row: number
  readonly value: string | number | Buffer | null
}

function put(file: string, { table, column, row, value }: Cell): void {
  const db = new Sqlite(file)
  try {
    db.pragma('foreign_keys = OFF')
    db.pragma('ignore_check_constraints = ON')
    const { count } = db.prepare<[], { count: number }>(`SELECT count(*) AS count FROM "${table}"`).get() ?? {
      count: 0,
    }
    if (count === 0) return
    const keys = db
      .prepare<[string], { name: string }>('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk')
      .all(table)
      .map(({ name }) => `"${name}"`)
    const key = keys.join(', ')
    db.prepare(
      `UPDATE OR REPLACE "${table}" SET "${column}" = ? WHERE (${key}) = (SELECT ${key} FROM "${table}" ORDER BY ${key} LIMIT 1 OFFSET ?)`,
    ).run(value, row % count)
  } catch (error) {
    // A strict table refuses a value of another type, and a NOT NULL column refuses NULL.
    if (!(error instanceof Sqlite.SqliteError) || !/^SQLITE_(CONSTRAINT|MISMATCH)/.test(error.code))
      throw error
  } finally {
    db.close()
  }
}
