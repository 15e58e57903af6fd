/** A data root on a full btrfs: an import that does not fit is an ordinary error, and the store goes on. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { after, before, describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { openDatabase } from '../../../../core/db/database.js'
import { mapSqliteError } from '../../../../core/db/sqlite-errors.js'
import { VarveError } from '../../../../core/errors.js'
import { openFileSystem, whyNoFileSystem } from '../../../support/file-system.js'
import { varveAt } from '../../../support/varve.js'
import { tarOf } from '../../formats/build.js'
import { type Loop, openLoop, whyNot } from './loop.js'

describe('a data root on a btrfs that is too small', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop('200M')
  })
  after(() => loop.close())

  it("keeps SQLite's shared memory in a file that is overwritten in place", () => {
    mkdirSync(`${loop.path}/db`)
    const file = `${loop.path}/db/varve.db`
    for (const turn of ['a new one', 'one that was there']) {
      const db = openDatabase(file)
      try {
        assert.match(execFileSync('lsattr', [`${file}-shm`], { encoding: 'utf8' }), /^\S*C\S* /, turn)
        assert.equal(lstatSync(`${file}-shm`).mode & 0o777, 0o600, turn)
        assert.ok(lstatSync(`${file}-shm`).size >= 32 << 10, 'SQLite uses it')
      } finally {
        db.close()
      }
      assert.equal(existsSync(`${file}-shm`), false, 'it goes with the last connection')
    }
  })

  for (const driver of ['btrfs', 'vfs']) {
    it(`${driver}: an import that does not fit leaves nothing, and the store goes on`, async () => {
      const { varve, attempt, root } = varveAt(`${loop.path}/${driver}`, driver)
      const id = (await varve('-q', 'create')).trim()
      const folder = mkdtempSync(`${tmpdir()}/varve-full-`)
      try {
        writeFileSync(`${folder}/layer.tar`, tarOf({ big: Buffer.alloc(220 << 20, 1) }))
        const { status, stderr } = await attempt(['import', '--layer', `${folder}/layer.tar`])
        assert.equal(status, 8, stderr)
        assert.match(stderr, /ENOSPC/)
      } finally {
        rmSync(folder, { recursive: true })
      }
      assert.deepEqual((await varve('-q', 'layers')).trim().split('\n'), [id])
      assert.deepEqual(await attempt(['check']), { status: 0, stdout: 'all is well\n', stderr: '' })
      await varve('rm', id)
      assert.deepEqual(readdirSync(`${root}/tmp`), [])
    })
  }
})

it("SQLite's error for memory that it can't have is reported as a full disk, if the disk is full", (t) => {
  const why = whyNoFileSystem('tmpfs')
  if (why !== undefined) return t.skip(why)
  const error = new Sqlite.SqliteError('disk I/O error', 'SQLITE_IOERR_SHMSIZE')
  const disk = openFileSystem('tmpfs', { size: '4M' })
  const says = () => {
    const mapped = mapSqliteError(error, `${disk.path}/varve.db`)
    assert.ok(mapped instanceof VarveError)
    return `${mapped.code} ${mapped.message}`
  }
  try {
    assert.match(says(), /^UNAVAILABLE .*kernel log/)
    writeFileSync(`${disk.path}/data`, Buffer.alloc(4 << 20))
    assert.match(says(), /^RESOURCE_EXHAUSTED .*the disk is full/)
  } finally {
    disk.close()
  }
})
