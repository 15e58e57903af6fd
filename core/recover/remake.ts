/** Layers that a power cut took, made again at the first open after a boot. */
import type { NodeRow } from '../db/nodes.js'
import { isCode } from '../errors.js'
import { optionsOf, REMADE } from '../graph/labels.js'
import { bootId } from '../sys/mount/mount.js'
import { each, type RecoverContext } from './context.js'

/**
 * A new writable layer is reported when its row is on disk, although what the driver made may not be. That is safe: its id
 * and its parent determine what is in it, and whoever makes a file in it durable brings its directories to disk too. So a
 * layer that is missing at the first open after a boot, and was young when the power went, is made again, and `varve check`
 * reports it from then on. A layer that had been mounted for writing, or had been there for long, or goes missing at any
 * other time, is damage, which `varve check` reports as well.
 */
export async function remakeLost(context: RecoverContext): Promise<void> {
  const { db, driver, warn } = context
  const boot = bootId()
  const last = db.meta.get('boot')
  if (last === boot) return settleOld(context)
  // A root from before boots were recorded: there may have been none in between.
  if (last === undefined) return db.meta.set('boot', boot)
  const lost: NodeRow[] = []
  const isTold = await each(context, ['list'], async () => {
    const rows = db.nodes.ready()
    const held = new Set(await driver.list())
    const lastSign = lastSignOf(rows)
    for (const row of rows.filter((row) => isMadeEmpty(row) && !held.has(row.layer))) {
      const why = whyNot(row, lastSign)
      if (why === undefined) lost.push(row)
      else warn(`${missing(row)}, ${why}; left as it is, see varve check`)
    }
  })
  const isMended = await each(context, lost, (row) => remake(context, row))
  if (isTold && isMended) db.meta.set('boot', boot)
}

/**
 * Records which layers are no longer young: at every open, and every few minutes in a process that stays, since the use of a
 * layer leaves no other trace in the database. Only once the database knows of this boot.
 */
export function settleOld({ db }: Pick<RecoverContext, 'db'>): void {
  if (db.meta.get('boot') === bootId()) db.nodes.settleOld(Date.now() - SETTLED)
}

/** Calls {@link settleOld} for as long as the process has the store open. Returns the function that ends it. */
export function keepSettling(context: Pick<RecoverContext, 'db'>): () => void {
  const timer = setInterval(() => {
    try {
      settleOld(context)
    } catch {
      // The disk is full, say, which other calls of the store report. The next time, or the next open, does it.
    }
  }, SETTLED / 2)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * Milliseconds after which what the driver made is on disk without a sync: the kernel writes back what is 30 s old
 * (vm.dirty_expire_centisecs), and journals sooner. Counted up to the last time in the database, not to now, since the power
 * may have been off for long.
 */
const SETTLED = 10 * 60_000

/** The latest time in the rows. A time in the future is left out: it comes from a clock that was ahead. */
function lastSignOf(rows: readonly NodeRow[]): number {
  const now = Date.now()
  const times = rows.flatMap(({ created, updated }) => [created, updated])
  return times.reduce((latest, time) => (time > now ? latest : Math.max(latest, time)), 0)
}

/** Why the layer must not be made again; undefined where it was new when the power went, and nobody had written to it. */
function whyNot({ created, settled }: NodeRow, lastSign: number): string | undefined {
  if (settled) return 'and it had been mounted for writing, or had been there for more than ten minutes'
  if (created > lastSign) return 'by a clock that was ahead'
  return lastSign - created > SETTLED ? 'long before the store was last used' : undefined
}

function missing({ layer, created }: NodeRow): string {
  return `layer ${layer}: its directory was missing at the first open after a boot; it had been made at ${new Date(created).toISOString()}`
}

async function remake({ db, driver, graph, warn }: RecoverContext, { id, layer }: NodeRow): Promise<void> {
  await graph.ifFree(layer, async () => {
    const row = db.nodes.get(id)
    if (row?.state !== 'ready' || row.settled || !isMadeEmpty(row)) return
    const parent = db.nodes.parentOf(layer)
    const isView = row.kind === 'view'
    try {
      const options = optionsOf(row.labels)
      await driver.create(layer, {
        ...(parent !== undefined && { parent }),
        writable: !isView,
        ...(options.size > 0 && { options }),
      })
    } catch (error) {
      if (isCode(error, 'ALREADY_EXISTS')) return // another process was faster
      throw error
    }
    if (isView) await driver.seal(layer)
    db.nodes.setLabels(id, { ...row.labels, [REMADE]: new Date().toISOString() })
    warn(`${missing(row)}; made again, empty`)
  })
}

/** A writable layer, or a view of the empty tree. */
function isMadeEmpty({ kind, parent }: NodeRow): boolean {
  return kind === 'active' || (kind === 'view' && parent === null)
}
