/**
 * The btrfs driver: every layer is a subvolume, `<home>/subvolumes/<id>`. A child is a snapshot of its parent: one call of
 * the kernel's, and durable when it returns, which a new empty subvolume is not. Sealing makes a subvolume read-only.
 */
import { toText } from '../../core/bytes.js'
import type { Change, Driver, DriverContext } from '../../core/driver.js'
import { errnoOf, VarveError } from '../../core/errors.js'
import { healTree } from '../../core/heal/heal.js'
import type { LayerId } from '../../core/ids.js'
import { chmod } from '../../core/sys/files.js'
import { lstatAt, lstatOrUndefined } from '../../core/sys/stat.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { syncFileSystem } from '../../core/sys/sync.js'
import { openTree } from '../../core/tree/confined.js'
import { attempt, attempting, attemptReading } from '../failure.js'
import { layersIn, makeIfMissing, makeWhole, purge, removeWhole, replaceWhole } from '../temporary.js'
import { usageOf } from '../usage.js'
import { applyToCopy, applyToEmpty } from './apply.js'
import { createComparing } from './comparing.js'
import {
  createSnapshot,
  hasQuota,
  isReadonly,
  limitSubvolume,
  qgroupLimit,
  qgroupNumbers,
  setSubvolumeReadonly,
  subvolumeInfo,
} from './ioctls.js'
import { packQuickly } from './quick.js'
import { limit, limitOf, parseSize } from './quota.js'
import { createSeals } from './seals.js'
import { EMPTY_SUBVOLUMES, isSubvolume, nestedIn, snapshotsOf } from './subvolumes.js'

export async function openBtrfs(context: DriverContext): Promise<Driver> {
  const { home, options, warn } = context
  const minimum = parseMinimum(options)
  const folder = `${home}/subvolumes`
  await attempt(`btrfs: open ${toText(home)}`, () => {
    makeIfMissing(home)
    const found = fsName(statfs(home).type)
    if (found !== 'btrfs') {
      throw new VarveError('FAILED_PRECONDITION', `btrfs: ${toText(home)} is on ${found}, not btrfs`)
    }
    makeIfMissing(folder)
    purge(folder, (message) => warn(`btrfs: ${message}`), EMPTY_SUBVOLUMES)
  })
  return createDriver(context, folder, minimum)
}

function createDriver(context: DriverContext, folder: string, minimum: number): Driver {
  const { home, parentOf, state, warn } = context
  const directory = (id: LayerId) => `${folder}/${id}`
  const need = (id: LayerId): string => {
    const path = directory(id)
    if (isSubvolume(path)) return path
    if (lstatOrUndefined(path) === undefined) {
      throw new VarveError('NOT_FOUND', `btrfs: layer ${id}: there is no ${toText(path)}`)
    }
    throw new VarveError('CORRUPT', `btrfs: layer ${id}: ${toText(path)} is no subvolume; run varve check`)
  }
  const seals = createSeals(state)
  /** A layer as it was when it was sealed, if it was: nothing is made of one that somebody changed behind our back. */
  const needSound = (id: LayerId): string => {
    const path = need(id)
    const problem = seals.problem(id, path)
    if (problem === undefined) return path
    throw new VarveError('CORRUPT', `btrfs: layer ${id} ${problem}; run varve check`)
  }
  /** Of a comparison. */
  const needBoth = (id: LayerId, parent = parentOf(id)): void => {
    for (const each of [id, parent]) if (each !== undefined) needSound(each)
  }
  const comparing = createComparing(context, folder, need)

  return {
    name: 'btrfs',
    supports: { quota: true, nativeDiff: true, rootless: false, readonlySeal: true, sharing: true },

    async create(id, { parent, writable, options }) {
      const size = limitOf(options, { writable, minimum })
      await attempt(`btrfs: create layer ${id}`, async () => {
        const source = parent === undefined ? undefined : needSound(parent)
        if (seals.has(id)) seals.forget(id) // of a layer that had the name before
        if (source !== undefined && size === undefined) snapshotWhole(source, directory(id), id)
        else {
          await makeWhole(
            folder,
            id,
            {
              // The store makes an imported layer durable itself (syncfs), when its content is in it.
              durable: writable,
              fill(path) {
                if (source === undefined) chmod(path, 0o755) // whatever the umask
                if (size !== undefined) limit(path, size, warn)
              },
            },
            source === undefined ? EMPTY_SUBVOLUMES : snapshotsOf(source, false),
          )
        }
      })
    },

    remove: (id) =>
      attempt(`btrfs: remove layer ${id}`, () => {
        removeWhole(folder, id, EMPTY_SUBVOLUMES)
        if (seals.has(id)) seals.forget(id)
      }),

    get: async (id, { readonly }) => [
      { type: 'bind', source: needSound(id), options: ['rbind', readonly ? 'ro' : 'rw'] },
    ],

    async put() {},

    changes: (id, parent, options) =>
      attempting(
        `btrfs: changes of layer ${id}`,
        () => {
          needBoth(id, parent)
          return comparing.compare(id, parent, (changes) => changes, options)
        },
        options,
      ),

    diff: (id, parent, options = {}) =>
      attempting(`btrfs: diff of layer ${id}`, () => {
        needBoth(id, parent)
        warnOfNested(id, need(id), warn)
        const noticing = { ...options, notice: (text: string) => warn(`btrfs: diff of layer ${id}: ${text}`) }
        return comparing.compare(id, parent, (changes, tree) => packQuickly(tree, changes, noticing), options)
      }),

    apply: (id, tar, options) =>
      attemptReading(`btrfs: apply a tar to layer ${id}`, tar, () => {
        const parent = parentOf(id)
        return parent === undefined
          ? applyToEmpty(need(id), tar, options)
          : applyToCopy(need(id), need(parent), tar, options)
      }),

    // btrfs brings to disk whole file systems only.
    sync: (id) => attempt(`btrfs: sync layer ${id}`, () => syncFileSystem(need(id))),

    seal: (id) =>
      attempt(`btrfs: seal layer ${id}`, () => {
        const path = need(id)
        const size = qgroupLimit(path, subvolumeInfo(path).id)
        if (!isReadonly(path) || !seals.has(id)) {
          warnOfNested(id, path, warn)
          syncFileSystem(path) // what is still to be written would come after the seal
          sealFull(path)
          seals.record(id, path, size)
        }
        if (size !== undefined) limitSubvolume(path, undefined) // it grows no more, and its children would inherit it
      }),

    unseal: (id) =>
      attempt(`btrfs: unseal layer ${id}`, () => {
        const path = need(id)
        const size = seals.sizeOf(id)
        // In this order: killed in between, it has its limit or its size is still known, and the next call does the rest.
        if (size !== undefined) limit(path, size, warn)
        if (seals.has(id)) seals.forget(id)
        setSubvolumeReadonly(path, false)
      }),

    heal: (id, good, { signal }) =>
      attempt(`btrfs: heal layer ${id}`, async () => {
        const path = directory(id)
        if (!isSubvolume(path)) {
          replaceWhole(folder, id, good, EMPTY_SUBVOLUMES)
          return { changed: undefined }
        }
        // Until it is sealed again, the seal on record says that it isn't what it was.
        setSubvolumeReadonly(path, false)
        const { changed } = await healTree(path, need(good), signal === undefined ? {} : { signal })
        return { changed }
      }),

    // A directory in a subvolume's place is no layer.
    list: () =>
      attempt(`btrfs: list ${toText(folder)}`, () =>
        layersIn(folder).filter((id) => isSubvolume(directory(id))),
      ),

    usage: (id) =>
      attempt(`btrfs: usage of layer ${id}`, async () => {
        if (parentOf(id) === undefined) return usageOf(need(id))
        const inodes = new Map<number, number>()
        for await (const [ino, blocks] of comparing.compare(id, undefined, inodesOf)) inodes.set(ino, blocks)
        const blocks = [...inodes.values()].reduce((sum, each) => sum + each, 0)
        return { size: blocks * 512, inodes: inodes.size }
      }),

    status: () =>
      attempt(`btrfs: status of ${toText(home)}`, () => {
        const fallBack = comparing.fallBack()
        return [
          ['Backing Filesystem', fsName(statfs(home).type)] as const,
          ['Native Diff', fallBack === undefined ? 'true' : `false: ${fallBack}`] as const,
          ['Quota', hasQuota(folder) ? 'on' : 'off'] as const,
        ]
      }),

    metadata: (id) =>
      attempt(`btrfs: metadata of layer ${id}`, () => {
        const path = need(id)
        return metadataOf(path, seals.problem(id, path))
      }),

    async close() {},
  }
}

/** A subvolume that has used up its limit can't even be marked: it grows no more, so the limit goes first. */
function sealFull(path: string): void {
  try {
    setSubvolumeReadonly(path, true)
  } catch (error) {
    if (errnoOf(error) !== 'EDQUOT') throw error
    limitSubvolume(path, undefined)
    setSubvolumeReadonly(path, true)
  }
}

/** One call of the kernel's: there or not, and on disk. */
function snapshotWhole(source: string, path: string, id: LayerId): void {
  try {
    createSnapshot(source, path, false)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    throw new VarveError('ALREADY_EXISTS', `layer ${id} is there already`, { cause: error })
  }
}

/** @throws VarveError INVALID_ARGUMENT */
function parseMinimum(options: ReadonlyMap<string, string>): number {
  const text = options.get('min_space')
  return text === undefined ? 0 : parseSize('min_space', text)
}

/** What they hold is in no diff, and their place is empty in every child. */
function warnOfNested(id: LayerId, path: string, warn: (message: string) => void): void {
  const nested = nestedIn(path)
  if (nested.length === 0) return
  const names = nested.slice(0, 5).map(toText).join(', ')
  warn(
    `btrfs: layer ${id} has ${nested.length} subvolumes inside (${names}): they are no part of its content`,
  )
}

function* inodesOf(
  changes: readonly Change[],
  root: string,
): Generator<readonly [ino: number, blocks: number]> {
  const tree = openTree(root)
  try {
    for (const { path, kind } of changes) {
      if (kind === 'delete') continue
      const { ino, blocks } = lstatAt(tree.fd, path === '' ? '.' : path)
      yield [ino, blocks]
    }
  } finally {
    tree.close()
  }
}

function metadataOf(path: string, problem: string | undefined): Readonly<Record<string, string>> {
  const info = subvolumeInfo(path)
  const counted = qgroupNumbers(path, info.id)
  const size = qgroupLimit(path, info.id)
  return {
    Subvolume: Buffer.from(path, 'latin1').toString('utf8'),
    'Subvolume ID': String(info.id),
    UUID: info.uuid,
    'Parent UUID': info.parentUuid,
    'Read Only': String(info.readonly),
    ...(counted && { Referenced: String(counted.referenced), Exclusive: String(counted.exclusive) }),
    ...(size !== undefined && { 'Size Limit': String(size) }),
    ...(problem !== undefined && { Problem: problem }),
  }
}
