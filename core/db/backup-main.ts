/**
 * The process that copies the database (core/root/backup.ts): by SQLite's own backup, some pages at a time, so that it never
 * blocks a writer; then it checks the copy's integrity. Arguments: the database, and the copy, which must not exist.
 */
import { constants, setPriority } from 'node:os'
import Sqlite from 'better-sqlite3'

/** 1 MiB. */
const PAGES = 256
/** A change restarts the copy. If that goes on and on, it gives up: the next backup will do. */
const TIMES = 4

const [from = '', to = ''] = process.argv.slice(2)
setPriority(constants.priority.PRIORITY_LOW)
process.umask(0o077)

const source = new Sqlite(from, { readonly: true })
let copied = 0
await source.backup(to, {
  progress({ totalPages }) {
    copied += PAGES
    if (copied > TIMES * totalPages + 64 * PAGES)
      throw new Error('the database changes faster than it is copied')
    return PAGES
  },
})
source.close()

const copy = new Sqlite(to)
// A file by itself, without a log beside it.
copy.pragma('journal_mode = DELETE')
const found = copy.pragma('integrity_check(1)', { simple: true })
copy.close()
if (found !== 'ok') throw new Error(String(found))
