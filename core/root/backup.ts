/**
 * Copies of the database, in `backup/`. A process that has the store open for a while makes them, at most one a day and
 * only if something changed; the last {@link KEPT} are kept. The work is done in a child process at the lowest priority
 * (db/backup-main.ts), so that closing the store can end it at once. It writes to scratch space, which leaves nothing
 * behind, and a copy is moved to its place only when it is whole, verified and on disk.
 */
import { fileURLToPath } from 'node:url'
import { fromText, toText } from '../bytes.js'
import type { Database } from '../db/database.js'
import { messageOf } from '../errors.js'
import { BACKUP } from '../journal/place.js'
import { generationOf } from '../records/history.js'
import type { Closer } from '../sys/close-all.js'
import { run } from '../sys/exec.js'
import { readdir, rename, unlink } from '../sys/files.js'
import { tryLock } from '../sys/lock.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { statfs } from '../sys/statfs.js'
import { syncDirectory } from '../sys/sync.js'
import { ensureFolder } from './folders.js'
import type { Scratch } from './scratch.js'

export interface BackupContext {
  readonly db: Database
  /** The data root. */
  readonly root: string
  readonly scratch: Scratch
  readonly warn: (message: string) => void
}

export interface Backup {
  readonly path: string
  /** The database's generation when the copy was begun; that of the copy is at least this. */
  readonly generation: number
}

export const KEPT = 3
/** Milliseconds: from the opening to the first look, and between two looks. */
const TIMES = { first: 5_000, look: 3_600_000 }
/** Milliseconds between two copies. */
const AGE = 86_400_000
/** Bytes that must be free on top of twice the database's size. */
const FREE = 64 << 20

/** Checks now and then whether a copy is due, and makes it. Returns the function that ends this. */
export function keepBackups(context: BackupContext, { first, look } = TIMES): Closer {
  const ending = new AbortController()
  let current: Promise<void> | undefined
  let timer = setTimeout(next, first).unref()
  function next() {
    current = lookOnce(context, ending.signal).finally(() => {
      if (!ending.signal.aborted) timer = setTimeout(next, look).unref()
    })
  }
  return async () => {
    ending.abort()
    clearTimeout(timer)
    await current
  }
}

/** The copies that are there, the latest first. */
export function backupsIn(root: string): readonly Backup[] {
  const folder = `${fromText(root)}/${BACKUP}`
  if (lstatOrUndefined(folder) === undefined) return []
  return readdir(folder)
    .flatMap((name) => {
      const generation = /^varve-(\d+)\.db$/.exec(name)?.[1]
      return generation === undefined ? [] : [{ path: `${folder}/${name}`, generation: Number(generation) }]
    })
    .sort((a, b) => b.generation - a.generation)
}

/** Makes one copy, unless another process is making one. @throws VarveError; CANCELLED on abort */
export async function backUp({ db, root, scratch }: BackupContext, signal?: AbortSignal): Promise<void> {
  const lock = tryLock(`${fromText(root)}/locks/backup`)
  if (lock === undefined) return
  try {
    const fresh = scratch.file()
    const generation = generationOf(db)
    const main = fileURLToPath(new URL('../db/backup-main.js', import.meta.url))
    await run(process.execPath, [main, db.sql.file, toText(fresh)], signal === undefined ? {} : { signal })
    const folder = ensureFolder(root, BACKUP)
    rename(fresh, `${folder}/varve-${generation}.db`)
    syncDirectory(folder)
    for (const { path } of backupsIn(root).slice(KEPT)) unlink(path)
  } finally {
    lock.release()
  }
}

async function lookOnce(context: BackupContext, signal: AbortSignal): Promise<void> {
  try {
    if (isDue(context)) await backUp(context, signal)
  } catch (error) {
    if (signal.aborted) return
    context.warn(`the database could not be copied to ${BACKUP}/: ${messageOf(error)}`)
  }
}

function isDue({ db, root }: BackupContext): boolean {
  const [last] = backupsIn(root)
  if (last !== undefined && (last.generation === generationOf(db) || isYoung(last))) return false
  const size = lstatOrUndefined(fromText(db.sql.file))?.size ?? 0
  const { bavail, bsize } = statfs(fromText(root))
  return bavail * bsize > 2 * size + FREE
}

/** Not if its time is in the future: then the clock was set back since. */
function isYoung({ path }: Backup): boolean {
  const made = lstatOrUndefined(path)
  const age = made === undefined ? AGE : Date.now() - made.mtimeSec * 1000
  return age >= 0 && age < AGE
}
