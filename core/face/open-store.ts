/**
 * Wires a store: database, driver, locks and the modules that do the work. Heavy ones are loaded when they are first called,
 * so that listing stays quick.
 */

import type { LongOptions, StoreOptions } from '../api/options.js'
import type { Store } from '../api/store.js'
import { fromText } from '../bytes.js'
import type { NodeRow } from '../db/nodes.js'
import { schemaVersion } from '../db/schema.js'
import { createGraphDriver } from '../engines/graph-driver.js'
import { refuseToCommit, refuseToMount, refuseToRemove } from '../engines/owners.js'
import { createSnapshots } from '../engines/snapshots.js'
import { VarveError } from '../errors.js'
import { createGraph } from '../graph/graph.js'
import { parseEngine, parseLabels } from '../graph/labels.js'
import { createLayerLocks } from '../graph/locks.js'
import { parseDigest, parseLayerId } from '../ids.js'
import { describeImage, describeLayer } from '../images/describe.js'
import { createImages, topOf } from '../images/images.js'
import { createResolver } from '../images/resolve.js'
import type { InspectContext } from '../inspect/context.js'
import type { Layers } from '../layers/layers.js'
import { createMounts } from '../mount/mounts.js'
import { withUses } from '../mount/used-driver.js'
import { createUses } from '../mount/uses.js'
import { createViews } from '../mount/views.js'
import { recover } from '../recover/recover.js'
import { keepSettling } from '../recover/remake.js'
import { normalizeName } from '../reference.js'
import { keepBackups } from '../root/backup.js'
import { type Opened, selection, withOpened } from '../root/open.js'
import { isScratchInUse } from '../root/scratch.js'
import { verdicts } from '../root/select.js'
import { ensureSentinel } from '../root/sentinel.js'
import { closeAll } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { realpath } from '../sys/files.js'
import { withClearErrors } from './clear-errors.js'
import { freeing } from './freeing.js'
import { guarded } from './guarded.js'

/** `openStore` of core/store.ts, which has its description. */
export async function openStore(options: StoreOptions): Promise<Store> {
  try {
    return withClearErrors(await withOpened(options, assembleStore), ['graphDriver', 'settings', 'snapshots'])
  } catch (error) {
    throw failure(error, `open ${options.root}`)
  }
}

async function assembleStore(
  options: StoreOptions,
  { db, gate, journal, records, isJournaled, scratch, held, driver: plain, reserve }: Opened,
): Promise<Store> {
  const { root, warn = () => {} } = options
  // The real path, without symlinks: the kernel's list of mounts has no other.
  const rootBytes = realpath(fromText(root))
  const uses = createUses({ db, driver: plain, root: rootBytes, warn })
  const driver = withUses(plain, uses)
  const graph = createGraph({
    db,
    driver,
    locks: createLayerLocks(rootBytes),
    records,
    readers: uses,
    warn,
  })
  const recoverNow = () => recover({ db, graph, driver, uses, records, isJournaled, root: rootBytes, warn })
  if (gate.reason === undefined) {
    await recoverNow()
    await ensureSentinel({ db, graph, home: `${rootBytes}/${driver.name}`, warn })
    held.push(keepSettling({ db }), keepBackups({ db, root, scratch, warn }))
  } else warn(`open read-only: ${gate.reason}`)
  const mounts = createMounts({ db, graph, driver, uses, root: rootBytes, scratch })
  held.push(() => uses.endLoans())
  const views = createViews({ driver, uses }, (layer) => mounts.placeOf(layer))
  const resolver = createResolver(db)
  const images = createImages(db, graph, (claim) => isScratchInUse(rootBytes, claim))
  const inspecting: InspectContext = { db, driver, graph, views, resolver }

  let loaded: Promise<Layers> | undefined
  const layers = (): Promise<Layers> => {
    loaded ??= import('../layers/layers.js').then(({ createLayers }) =>
      createLayers({ db, graph, driver, views, scratch: scratch.directory(), warn }),
    )
    return loaded
  }
  const working = async () => ({ db, driver, graph, images, mounts, layers: await layers(), scratch, warn })
  const layerOf = (reference: string) => resolver.layer(reference)
  /** The layer, or the top layer of the image. */
  const topNodeOf = (reference: string): NodeRow => {
    const node = topOf(db, resolver.target(reference))
    if (node !== undefined) return node
    throw new VarveError(
      'FAILED_PRECONDITION',
      `image ${reference}: has no layers, so there is nothing to mount`,
    )
  }

  const store: Store = {
    root,
    driverName: driver.name,

    async importImage(source, importOptions) {
      const { importImages } = await import('../images/import.js')
      return importImages(await working(), source, importOptions)
    },
    async exportImage(image, file, exportOptions) {
      const { exportImage } = await import('../images/export.js')
      await exportImage(await working(), resolver.image(image), image, file, exportOptions)
    },
    images: () => db.images.all().map((row) => describeImage(db, row)),
    image: (reference) => describeImage(db, resolver.image(reference)),
    imageConfig(reference) {
      const { key, digest } = resolver.image(reference)
      const config = db.images.config(key)
      if (config === undefined) throw new VarveError('NOT_FOUND', `image ${digest}: was removed meanwhile`)
      return config
    },
    tag: (image, name) => images.tag(resolver.image(image), name),
    async remove(reference, { force = false } = {}) {
      const target = resolver.target(reference)
      if (target.kind === 'image') return images.remove(target.image, reference, { force })
      const { id, layer } = target.node
      const before = () => {
        if (force) mounts.forget(graph.get(id))
        else refuseToRemove(db, graph.get(id))
        return true
      }
      await graph.remove(id, { before, release: force ? mounts.takeDown : undefined })
      await mounts.letGo(target.node)
      return [layer]
    },
    prune: (pruneOptions) => images.prune(pruneOptions),

    async importLayer(source, importOptions = {}) {
      const { importBareLayer } = await import('../images/import.js')
      const { parent, diffId, ...rest } = importOptions
      const announced = diffId === undefined ? {} : { diffId: parseDigest(diffId) }
      const below = parent === undefined ? undefined : topOf(db, resolver.target(parent))?.id
      const {
        layer,
        node: _,
        ...made
      } = await importBareLayer(await working(), source, {
        ...rest,
        ...announced,
        parent: below,
      })
      return { id: layer, ...made }
    },
    async *exportLayer(layer, exportOptions) {
      const { id } = layerOf(layer)
      yield* (await layers()).export(id, exportOptions)
    },
    layers: () => db.nodes.ready().map((row) => describeLayer(db, row)),
    layer: (reference) => describeLayer(db, layerOf(reference)),
    resolve(reference) {
      const target = resolver.target(reference)
      return target.kind === 'image'
        ? { kind: 'image', image: describeImage(db, target.image) }
        : { kind: 'layer', layer: describeLayer(db, target.node) }
    },

    async *list(target, listOptions) {
      const { list } = await import('../inspect/list.js')
      yield* list(inspecting, target, listOptions)
    },
    async *read(target, path, readOptions) {
      const { readFile } = await import('../inspect/list.js')
      yield* readFile(inspecting, target, path, readOptions)
    },
    async *diff(a, b, diffOptions) {
      const { diff } = await import('../inspect/diff.js')
      yield* diff(inspecting, a, b, diffOptions)
    },
    async *diffTar(a, b, diffOptions) {
      const { diffTar } = await import('../inspect/diff.js')
      yield* diffTar({ ...inspecting, layers, scratch, warn }, a, b, diffOptions)
    },

    async create({ id, parent, labels, options: layerOptions } = {}) {
      const below = parent === undefined ? undefined : topOf(db, resolver.target(parent))?.id
      const row = await graph.prepare({
        parent: below,
        ...(id !== undefined && { name: { space: 'id', name: parseLayerId(id) } as const }),
        ...(labels && { labels: parseLabels(labels) }),
        ...(layerOptions && { options: layerOptions }),
      })
      return describeLayer(db, row)
    },
    async mount(reference, target) {
      const row = topNodeOf(reference)
      refuseToMount(db, row, { doing: 'mount', target })
      return { path: await mounts.mount(row, target) }
    },
    async unmount(reference, target) {
      const row = topNodeOf(reference)
      refuseToMount(db, row, { doing: 'unmount', target })
      await mounts.unmount(row, target)
    },
    mounts: (reference) => mounts.lend(topNodeOf(reference)),
    async commit(reference, { name, ...rest }: LongOptions & { readonly name?: string } = {}) {
      const { commit } = await import('../images/commit.js')
      const wanted = name === undefined ? undefined : normalizeName(name)
      const row = layerOf(reference)
      refuseToCommit(db, row)
      const { layer, image } = await commit(await working(), row.id, { ...rest, name: wanted })
      return { layer: describeLayer(db, layer), image: image && describeImage(db, image) }
    },
    async usage(reference) {
      const target = resolver.target(reference)
      const nodes = target.kind === 'image' ? db.images.layers(target.image.key) : [target.node.id]
      const usages = await Promise.all(nodes.map((node) => graph.usage(node)))
      return usages.reduce(
        (sum, { size, inodes }) => ({ size: sum.size + size, inodes: sum.inodes + inodes }),
        { size: 0, inodes: 0 },
      )
    },

    graphDriver: createGraphDriver(
      { db, driver, graph, mounts, views, layers, warn },
      parseEngine(options.engine),
    ),
    settings: {
      get: (key) => db.meta.get(`service.${key}`),
      set: (key, value) => db.meta.set(`service.${key}`, value),
    },
    snapshots: createSnapshots({ db, graph, mounts, resolver, warn, recover: recoverNow }),

    async info() {
      const nodes = db.nodes.ready()
      return {
        root,
        driver: driver.name,
        supports: driver.supports,
        schema: schemaVersion(),
        layers: nodes.length,
        images: db.images.all().length,
        mounts: db.mounts.all().filter((mount) => mount.count > 0).length,
        size: nodes.reduce((sum, row) => sum + (row.size ?? 0), 0),
        status: await driver.status(),
        ...(gate.reason !== undefined && { lookingOnly: gate.reason }),
      }
    },
    drivers: () => verdicts(selection(options, db, scratch), driver.name),
    async *check(checkOptions) {
      const { check } = await import('../check/check.js')
      yield* check(
        { ...inspecting, gate, journal, records, mounts, uses, layers, root: rootBytes },
        checkOptions,
      )
    },
    async *repair(repairOptions) {
      const { repair } = await import('../check/repair.js')
      const { drivers } = options
      const others = (other: string) => openStore({ root: other, drivers, warn })
      const place = { scratch: scratch.directory(), root, openStore: others }
      yield* repair({ ...inspecting, ...place, layers }, repairOptions)
    },
    close: () => closeAll(held, warn),
  }
  return guarded(
    freeing(store, reserve, () => db.shorten()),
    gate,
  )
}
