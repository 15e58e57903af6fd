/**
 * The file of a layer in `records/` must be there and sound, and be that layer's: nothing else reads it until the database is
 * lost. In a root from before there were records, a layer without one is whole too.
 */
import { recordProblem } from '../damage/damage.js'
import type { LayerRow } from '../db/layers.js'
import type { NodeRow } from '../db/nodes.js'
import { errnoOf, isCode, messageOf } from '../errors.js'
import { nameOf } from '../graph/rules.js'
import { isRecordOf } from '../records/record-file.js'
import { expectedChain } from './layers.js'
import { type CheckContext, isAsked, type Problem, unlessLocked } from './problem.js'

/** Reads every byte of the files. */
export function* checkRecordFiles(context: CheckContext): Generator<Problem, void> {
  const { db, graph, records } = context
  for (const row of db.nodes.ready()) {
    const tar = isAsked(context, row.id) ? db.layers.get(row.id) : undefined
    const message = tar && problemOf(context, row, tar)
    if (tar === undefined || message === undefined || db.nodes.get(row.id)?.state !== 'ready') continue
    const mend = unlessLocked(
      context,
      row.layer,
      'write it again from the database; what is there goes to backup/',
      async () => {
        if (db.nodes.get(row.id)?.state !== 'ready' || problemOf(context, row, tar) === undefined)
          return false
        if (records.has(row.layer)) records.putAside(row.layer)
        graph.keepRecord(row.id)
        return problemOf(context, row, tar) === undefined
      },
    )
    // The database and the layer must be sound themselves, or the file may be what puts them right.
    const isSound = expectedChain(db, row, tar) === tar.chainId && recordProblem(db, tar) === undefined
    const canMend = isSound && db.damages.get(row.id) === undefined
    yield { check: 'record-file', subject: nameOf(db, row), message, ...(canMend && { mend }) }
  }
}

function problemOf(
  { db, records }: CheckContext,
  { layer }: NodeRow,
  { diffId }: LayerRow,
): string | undefined {
  if (!records.has(layer)) return db.meta.get('records') === undefined ? undefined : `has no file in records/`
  try {
    const isOurs = isRecordOf(records.read(layer), layer, diffId)
    return isOurs ? undefined : `records/${layer} is the record of another layer`
  } catch (error) {
    // What says nothing about the file is no finding: too many open files, for example.
    if (isCode(error, 'CORRUPT') || ['EIO', 'EISDIR', 'ENOENT'].includes(errnoOf(error) ?? ''))
      return messageOf(error)
    throw error
  }
}
