/**
 * The vfs driver: every layer is a whole tree in `<home>/dir/<id>`. It needs no root for files of the caller's own.
 */
import { toText } from '../../core/bytes.js'
import type { Applied, Driver, DriverContext } from '../../core/driver.js'
import { VarveError } from '../../core/errors.js'
import { type Extracted, extract } from '../../core/extract/extract.js'
import { merge } from '../../core/extract/merge.js'
import { healTree } from '../../core/heal/heal.js'
import type { LayerId } from '../../core/ids.js'
import { packDifference } from '../../core/pack/pack-changes.js'
import { chmod } from '../../core/sys/files.js'
import { lstatOrUndefined } from '../../core/sys/stat.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { compareInThread } from '../../core/tree/compare.js'
import { openTree } from '../../core/tree/confined.js'
import { copyTree } from '../../core/tree/copy.js'
import { syncTree } from '../durable.js'
import { attempt, attempting, attemptReading } from '../failure.js'
import { refuseLayerOptions } from '../options.js'
import {
  isRealDirectory,
  layersIn,
  makeIfMissing,
  makeWhole,
  purge,
  removeWhole,
  replaceWhole,
  withTemporary,
} from '../temporary.js'
import { usageOf } from '../usage.js'

export async function openVfs(context: DriverContext): Promise<Driver> {
  const { home, warn } = context
  const folder = `${home}/dir`
  await attempt(`vfs: open ${toText(home)}`, () => {
    makeIfMissing(home)
    makeIfMissing(folder)
    purge(folder, (message) => warn(`vfs: ${message}`))
  })
  return createDriver(folder, context)
}

function createDriver(folder: string, { home, parentOf, warn }: DriverContext): Driver {
  const directory = (id: LayerId) => `${folder}/${id}`
  const need = (id: LayerId): string => {
    const path = directory(id)
    if (isRealDirectory(path)) return path
    if (lstatOrUndefined(path) !== undefined)
      throw new VarveError('CORRUPT', `vfs: layer ${id}: ${toText(path)} is no directory; run varve check`)
    throw new VarveError('NOT_FOUND', `vfs: layer ${id}: there is no ${toText(path)}`)
  }
  /** The trees to compare: the layer's, and that of another or its parent; undefined is the empty tree. */
  const trees = (id: LayerId, other: LayerId | undefined) => {
    const base = other ?? parentOf(id)
    return { now: need(id), old: base === undefined ? undefined : need(base) }
  }

  return {
    name: 'vfs',
    supports: { quota: false, nativeDiff: false, rootless: true, readonlySeal: false, sharing: false },

    async create(id, { parent, writable, options }) {
      refuseLayerOptions('vfs', options, 'plain directories have no quota')
      const source = parent === undefined ? undefined : need(parent)
      await attempt(`vfs: create layer ${id}`, () =>
        makeWhole(folder, id, {
          // An imported layer is brought to disk when its content is in it, and an empty one can be made again.
          durable: writable && source !== undefined,
          async fill(temporary) {
            if (source === undefined) {
              chmod(temporary, 0o755)
              return
            }
            await copyTree(source, temporary)
            if (writable) syncTree(temporary, [])
          },
        }),
      )
    },

    remove: (id) => attempt(`vfs: remove layer ${id}`, () => removeWhole(folder, id)),

    get: async (id, { readonly }) => [
      { type: 'bind', source: need(id), options: ['rbind', readonly ? 'ro' : 'rw'] },
    ],

    async put() {},

    changes: (id, parent, options) =>
      attempting(`vfs: changes of layer ${id}`, async function* () {
        const { old, now } = trees(id, parent)
        yield* await compareInThread(old, now, options)
      }),

    diff: (id, parent, options = {}) =>
      attempting(`vfs: diff of layer ${id}`, () => {
        const { old, now } = trees(id, parent)
        const notice = (text: string) => warn(`vfs: diff of layer ${id}: ${text}`)
        return packDifference(now, old, { ...options, notice })
      }),

    apply: (id, tar, { scratch, leftOut, signal }) =>
      attemptReading(`vfs: apply a tar to layer ${id}`, tar, async () => {
        const target = need(id)
        const parent = parentOf(id)
        const abortable = signal === undefined ? {} : { signal }
        const options = { whiteouts: 'list', scratch, leftOut, ...abortable } as const
        if (parent === undefined)
          return appliedOf(await extract(target, tar, { ...options, lower: undefined }))
        return withTemporary(folder, async (upper) => {
          const lower = openTree(need(parent))
          try {
            const extracted = await extract(upper, tar, { ...options, lower: lower.fd })
            await merge(upper, target, { ...extracted, ...abortable })
            return appliedOf(extracted)
          } finally {
            lower.close()
          }
        })
      }),

    sync: (id) => attempt(`vfs: bring layer ${id} to disk`, () => syncTree(need(id), [folder])),

    async seal(id) {
      need(id)
    },

    heal: (id, good, { signal }) =>
      attempt(`vfs: heal layer ${id}`, async () => {
        if (!isRealDirectory(directory(id))) {
          replaceWhole(folder, id, good)
          return { changed: undefined }
        }
        const { changed } = await healTree(directory(id), need(good), signal === undefined ? {} : { signal })
        return { changed }
      }),

    list: () => attempt(`vfs: list ${toText(folder)}`, () => layersIn(folder)),
    usage: (id) => attempt(`vfs: usage of layer ${id}`, () => usageOf(need(id))),

    status: () =>
      attempt(`vfs: status of ${toText(home)}`, () => [
        ['Backing Filesystem', fsName(statfs(home).type)] as const,
      ]),

    metadata: async (id) => ({ Directory: Buffer.from(need(id), 'latin1').toString('utf8') }),

    async close() {},
  }
}

function appliedOf({ size, inodes, entries, replaced, aliases, notices }: Extracted): Applied {
  return { size, inodes, entries, replaced, aliases, notices }
}
