/** The overlay driver. layout.ts says where things are, drivers/overlayfs how they are mounted. */
import { constants } from 'node:fs'
import { toText } from '../../core/bytes.js'
import type { Change, Driver, DriverContext } from '../../core/driver.js'
import { VarveError } from '../../core/errors.js'
import { extract } from '../../core/extract/extract.js'
import type { LayerId } from '../../core/ids.js'
import { packChanges, packDifference } from '../../core/pack/pack-changes.js'
import { close, mkdir, open, removeTree } from '../../core/sys/files.js'
import { lstatOrUndefined } from '../../core/sys/stat.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { syncDirectory } from '../../core/sys/sync.js'
import { compareInThread } from '../../core/tree/compare.js'
import { keepsOrder, syncTree } from '../durable.js'
import { attempt, attempting, attemptReading } from '../failure.js'
import { hasFileSystem } from '../kernel.js'
import { refuseLayerOptions } from '../options.js'
import { changesOfUpper } from '../overlayfs/changes.js'
import { type Features, readFeatures } from '../overlayfs/features.js'
import { healUpper } from '../overlayfs/heal.js'
import { readOnlyMount, writableMount } from '../overlayfs/mounts.js'
import { makeRoot } from '../overlayfs/root.js'
import {
  isRealDirectory,
  layersIn,
  makeIfMissing,
  makeWhole,
  purge,
  removeWhole,
  replaceWhole,
} from '../temporary.js'
import { usageOf } from '../usage.js'
import { ancestorsOn, type Layout, layoutOf } from './layout.js'
import { factsOf } from './probe.js'
import { openView, withViews } from './views.js'

export async function openOverlay(context: DriverContext): Promise<Driver> {
  const { home } = context
  const known = await hasFileSystem('overlay')
  if (known !== true) throw new VarveError('FAILED_PRECONDITION', `overlay: ${known}`)
  const layout = layoutOf(home)
  const features = await attempt(`overlay: open ${toText(home)}`, () => prepareHome(layout, context))
  return createDriver(layout, features, context)
}

function createDriver(layout: Layout, features: Features, { parentOf, warn }: DriverContext): Driver {
  const { home } = layout
  const view = (id: LayerId) => openView(id, layout, features, parentOf)
  const isOrdered = keepsOrder(home)
  /** Layers whose content `apply` has brought to disk. */
  const onDisk = new Set<LayerId>()

  const isThere = (id: LayerId) => isRealDirectory(layout.layer(id)) && isRealDirectory(layout.diff(id))
  const require = (id: LayerId): void => {
    if (isThere(id)) return
    const odd = [layout.layer(id), layout.diff(id)].find(
      (path) => lstatOrUndefined(path) !== undefined && !isRealDirectory(path),
    )
    if (odd !== undefined) throw notWhole(id, odd)
    throw new VarveError('NOT_FOUND', `overlay: layer ${id}: there is no ${toText(layout.diff(id))}`)
  }
  const lowersOf = (id: LayerId): readonly string[] => {
    const ancestors = ancestorsOn(parentOf(id), parentOf)
    for (const ancestor of ancestors) {
      if (isThere(ancestor)) continue
      throw new VarveError(
        'CORRUPT',
        `overlay: layer ${id} stands on ${ancestor}, and there is no ${toText(layout.diff(ancestor))}; run varve check`,
      )
    }
    return ancestors.map(layout.diff)
  }

  /**
   * Opens the views of the layer and of what it is compared with. `own`: that is its parent, so the upper directory tells
   * what changed; a layer without a parent has nothing but its upper directory, and is compared with the empty tree.
   */
  const compare = <T>(
    id: LayerId,
    other: LayerId | undefined,
    ways: {
      own(changes: readonly Change[], after: number): AsyncIterable<T> | Iterable<T>
      any(before: number | undefined, after: number): AsyncIterable<T> | Iterable<T>
    },
  ): AsyncGenerator<T, void> => {
    require(id)
    const parent = parentOf(id)
    const base = other ?? parent
    return withViews(id, base, view, (after, before) => {
      if (before === undefined || base !== parent) return ways.any(before, after)
      const sides = { upper: layout.diff(id), before, after, prefix: features.prefix }
      return ways.own(changesOfUpper(sides), after)
    })
  }

  return {
    name: 'overlay',
    supports: { quota: false, nativeDiff: true, rootless: false, readonlySeal: false, sharing: true },

    async create(id, { parent, writable, options }) {
      refuseLayerOptions('overlay', options, 'this version sets no quota on overlay')
      if (parent !== undefined) require(parent)
      ancestorsOn(parent, parentOf) // refuses what could not be mounted
      await attempt(`overlay: create layer ${id}`, () =>
        makeWhole(home, id, {
          durable: false,
          fill(directory) {
            const below = parent === undefined ? undefined : layout.diff(parent)
            makeRoot(`${directory}/diff`, below, features.prefix)
            if (writable) mkdir(`${directory}/work`, 0o700)
          },
        }),
      )
    },

    remove: (id) =>
      attempt(`overlay: remove layer ${id}`, () => {
        onDisk.delete(id)
        removeWhole(home, id)
      }),

    get: (id, { readonly }) =>
      attempt(`overlay: get layer ${id}`, () => {
        require(id)
        const [diff, work] = [layout.diff(id), layout.work(id)]
        const lowers = lowersOf(id)
        if (readonly) return [readOnlyMount([diff, ...lowers], layout, features)]
        // `create` made it and `seal` removed it: with a new one the kernel would write to a sealed layer.
        if (lstatOrUndefined(work) === undefined) throw sealed(id)
        return [writableMount(lowers, { diff, work, empty: layout.empty }, features)]
      }),

    async put() {},

    changes: (id, parent, options) =>
      attempting(
        `overlay: changes of layer ${id}`,
        () =>
          compare(id, parent, {
            own: (changes) => changes,
            any: async function* (before, after) {
              yield* await compareInThread(before, after, options)
            },
          }),
        options,
      ),

    diff: (id, parent, options = {}) =>
      attempting(`overlay: diff of layer ${id}`, () => {
        const noticing = {
          ...options,
          notice: (text: string) => warn(`overlay: diff of layer ${id}: ${text}`),
        }
        return compare(id, parent, {
          own: (changes, after) => packChanges(after, changes, noticing),
          any: (before, after) => packDifference(after, before, noticing),
        })
      }),

    apply: (id, tar, { scratch, leftOut, signal }) =>
      attemptReading(`overlay: apply a tar to layer ${id}`, tar, async () => {
        require(id)
        const parent = parentOf(id)
        const lower = parent === undefined ? undefined : await view(parent)
        try {
          const applied = await extract(layout.diff(id), tar, {
            lower,
            whiteouts: { prefix: features.prefix, advice: 'use --driver vfs for this image' },
            scratch,
            leftOut,
            durable: isOrdered,
            ...(signal === undefined ? {} : { signal }),
          })
          if (isOrdered) onDisk.add(id)
          return applied
        } finally {
          if (lower !== undefined) close(lower)
        }
      }),

    sync: (id) =>
      attempt(`overlay: bring layer ${id} to disk`, () => {
        const above = [layout.layer(id), home]
        if (onDisk.delete(id)) for (const directory of [layout.diff(id), ...above]) syncDirectory(directory)
        else syncTree(layout.diff(id), above)
      }),

    seal: (id) =>
      attempt(`overlay: seal layer ${id}`, () => {
        require(id)
        removeTree(layout.work(id))
      }),

    unseal: (id) =>
      attempt(`overlay: unseal layer ${id}`, () => {
        require(id)
        makeIfMissing(layout.work(id))
      }),

    heal: (id, good, { signal }) =>
      attempt(`overlay: heal layer ${id}`, async () => {
        if (!isRealDirectory(layout.diff(id))) {
          replaceWhole(home, id, good)
          return { changed: undefined }
        }
        const options = { prefix: features.prefix, ...(signal && { signal }) }
        return { changed: await healUpper(layout.diff(id), layout.diff(good), options) }
      }),

    list: () => attempt(`overlay: list ${toText(home)}`, () => layersIn(home)),

    usage: (id) =>
      attempt(`overlay: usage of layer ${id}`, () => {
        require(id)
        return usageOf(layout.diff(id))
      }),

    status: () =>
      attempt(`overlay: status of ${toText(home)}`, () => [
        ['Backing Filesystem', fsName(statfs(home).type)] as const,
        ...factsOf(features),
      ]),

    metadata: (id) =>
      attempt(`overlay: metadata of layer ${id}`, () => {
        require(id)
        const lowers = lowersOf(id)
        return {
          ...(lowers.length === 0 ? {} : { LowerDir: lowers.map(printable).join(':') }),
          UpperDir: printable(layout.diff(id)),
          ...(lstatOrUndefined(layout.work(id)) === undefined ? {} : { WorkDir: printable(layout.work(id)) }),
        }
      }),

    async close() {},
  }
}

/** Makes what every home has, and finds out what mounts here can do. */
function prepareHome(layout: Layout, { home, options, warn }: DriverContext): Features {
  makeIfMissing(home)
  purge(home, (message) => warn(`overlay: ${message}`))
  makeIfMissing(layout.empty)
  const marked = lstatOrUndefined(layout.metacopyMark) !== undefined
  const features = readFeatures(layout.empty, { driver: 'overlay', options, marked })
  if (features.metacopy === true && !marked) {
    close(open(layout.metacopyMark, constants.O_WRONLY | constants.O_CREAT, 0o600))
    syncDirectory(home) // on disk before the first file that needs it
  }
  if (marked && options.get('metacopy') === 'off') {
    warn('overlay: metacopy=off is not followed: layers here may hold files that only metacopy=on can read')
  }
  return features
}

function notWhole(id: LayerId, path: string): VarveError {
  return new VarveError('CORRUPT', `overlay: layer ${id}: ${toText(path)} is no directory; run varve check`)
}

function sealed(id: LayerId): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `overlay: layer ${id}: is sealed (it has no work directory), so it can't be mounted writable`,
  )
}

/** A path as text for engines: UTF-8, unescaped. */
function printable(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8')
}
