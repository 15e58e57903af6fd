/**
 * The shortest driver whose layers are devices: each is an ext4 of its own, and its image has to be attached to a loop device
 * before it can be mounted. A sealed image is 0400.
 */
import {
  attempt,
  attempting,
  attemptReading,
  baseOf,
  chmod,
  close,
  compareInThread,
  type Driver,
  type DriverContext,
  detached,
  extract,
  fstat,
  type LayerId,
  lstat,
  type Mount,
  makeReadonly,
  merge,
  packDifference,
  readdir,
  refuseLayerOptions,
  refuseUnknown,
  type Stat,
  syncFileSystem,
  toText,
  usageOf,
  utimens,
  VarveError,
  withTemporary,
} from '../../../drivers/kit.js'
import { openImages, syncFile } from './images.js'
import { attach, detach, devices } from './loop.js'

export async function openToyDevice(context: DriverContext): Promise<Driver> {
  const { home, options, parentOf, warn } = context
  refuseUnknown('toy-device', options, [])
  const images = await attempt(`toy-device: open ${toText(home)}`, () => openImages(context))

  const isSealed = (id: LayerId) => (lstat(images.need(id)).mode & 0o200) === 0
  const setMode = (id: LayerId, mode: number): void => {
    chmod(images.need(id), mode)
    syncFile(images.need(id))
  }
  const mountsOf = async (id: LayerId, readonly: boolean): Promise<readonly Mount[]> => {
    const sealed = isSealed(id)
    if (sealed && !readonly)
      throw new VarveError('FAILED_PRECONDITION', `toy-device: layer ${id}: it is sealed, and so read-only`)
    // A device is one file system, however often it is mounted: while that is writable a mount is read-only by itself.
    const access = sealed ? 'ro' : readonly ? 'ro=vfs' : 'rw'
    const source = await images.alone(id, () => attach(images.need(id)))
    return [{ type: 'ext4', source, options: [access] }]
  }
  /** A descriptor of the layer's root, mounted nowhere. */
  const openLayer = async (id: LayerId, access: 'ro' | 'rw' = 'ro') =>
    (await detached(await mountsOf(id, access === 'ro'))).fd
  const within = async <T>(id: LayerId, access: 'ro' | 'rw', work: (root: number) => T | Promise<T>) => {
    const root = await openLayer(id, access)
    try {
      return await work(root)
    } finally {
      close(root)
    }
  }
  /** Only where it is attached: it is mounted nowhere otherwise. */
  const ifAttached = async (id: LayerId, work: (root: number) => void): Promise<void> => {
    if (devices().has(images.need(id))) await within(id, 'ro', work)
  }
  /** Gives what `work` does, with the roots of the layer and of another: by default its parent, or none. */
  const comparing = async function* <T>(
    id: LayerId,
    other: LayerId | undefined,
    work: (root: number, below: number | undefined) => AsyncIterable<T>,
  ) {
    const against = other ?? parentOf(id)
    const root = await openLayer(id)
    let below: number | undefined
    try {
      if (against !== undefined) below = await openLayer(against)
      yield* work(root, below)
    } finally {
      close(root)
      if (below !== undefined) close(below)
    }
  }

  return {
    name: 'toy-device',
    supports: { quota: false, nativeDiff: false, rootless: false, readonlySeal: false, sharing: false },

    async create(id, { parent, options }) {
      refuseLayerOptions('toy-device', options, 'images are all of one size, a toy has no quota')
      await attempt(`toy-device: create layer ${id}`, () =>
        images.make(id, parent === undefined ? undefined : images.need(parent)),
      )
    },
    remove: (id) => attempt(`toy-device: remove layer ${id}`, () => images.remove(id)),

    get: (id, { readonly }) => attempt(`toy-device: attach layer ${id}`, () => mountsOf(id, readonly)),
    put: (id) =>
      attempt(`toy-device: detach layer ${id}`, () =>
        images.alone(id, async () => {
          const image = images.find(id)
          if (image !== undefined) await detach(image)
        }),
      ),
    active: () =>
      attempt('toy-device: list what is attached', () => {
        const attached = devices()
        return images
          .list()
          .filter(({ path }) => attached.has(path))
          .map(({ layer }) => layer)
      }),

    changes: (id, parent, options) =>
      attempting(`toy-device: changes of layer ${id}`, () =>
        comparing(id, parent, async function* (root, below) {
          yield* await compareInThread(below, root, options)
        }),
      ),
    diff: (id, parent, options = {}) =>
      attempting(`toy-device: diff of layer ${id}`, () => {
        const notice = (text: string) => warn(`toy-device: diff of layer ${id}: ${text}`)
        return comparing(id, parent, (root, below) => packDifference(root, below, { ...options, notice }))
      }),

    apply: (id, tar, options) =>
      attemptReading(`toy-device: apply a tar to layer ${id}`, tar, () =>
        within(id, 'rw', async (root) => {
          const path = pathOf(root)
          const before = fstat(root)
          let after = before
          // In the layer itself for a moment, because files can only be moved within a file system.
          const applied = await withTemporary(path, async (directory) => {
            setTime(path, before)
            const extracted = await extract(directory, tar, { ...options, whiteouts: 'list', lower: root })
            const { whiteouts, opaques, ...rest } = extracted
            const hidden = opaques.includes('')
              ? { whiteouts: readdir(path).filter((name) => name !== baseOf(directory)), opaques: [] }
              : { whiteouts, opaques }
            await merge(directory, path, hidden)
            after = fstat(root)
            return rest
          })
          setTime(path, after)
          return applied
        }),
      ),
    sync: (id) =>
      attempt(`toy-device: sync layer ${id}`, async () => {
        await ifAttached(id, (root) => syncFileSystem(pathOf(root)))
        syncFile(images.need(id))
      }),
    seal: (id) =>
      attempt(`toy-device: seal layer ${id}`, async () => {
        // Refused while a file is open for writing; from then on no mount of it is writable, wherever it is.
        await ifAttached(id, (root) => makeReadonly(pathOf(root), 'file system'))
        setMode(id, 0o400)
      }),
    unseal: (id) => attempt(`toy-device: unseal layer ${id}`, () => setMode(id, 0o600)),

    list: () =>
      attempt(`toy-device: list ${toText(home)}`, () =>
        images
          .list()
          .map(({ layer }) => layer)
          .sort(),
      ),
    usage: (id) =>
      attempt(`toy-device: usage of layer ${id}`, () => within(id, 'ro', (root) => usageOf(pathOf(root)))),
    status: async () => [['Layers', String(images.list().length)]],
    metadata: async (id) => ({ Image: toText(images.need(id)) }),
    async close() {},
  }
}

/** Its name for calls that take a path. */
function pathOf(root: number): string {
  return `/proc/self/fd/${root}/.`
}

function setTime(path: string, { mtimeSec, mtimeNsec }: Stat): void {
  utimens(path, { sec: mtimeSec, nsec: mtimeNsec })
}
