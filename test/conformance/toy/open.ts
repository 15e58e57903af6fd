/** The shortest driver that keeps the contract: every layer is a whole tree, `<home>/<id>`. */
import {
  attempt,
  attempting,
  attemptReading,
  chmod,
  compareInThread,
  copyTree,
  type Driver,
  type DriverContext,
  extract,
  type LayerId,
  layersIn,
  lstatOrUndefined,
  makeIfMissing,
  makeWhole,
  merge,
  openTree,
  packDifference,
  purge,
  refuseLayerOptions,
  refuseUnknown,
  removeWhole,
  syncFileSystem,
  toText,
  usageOf,
  VarveError,
  withTemporary,
} from '../../../drivers/kit.js'

export async function openToy({ home, options, parentOf, warn }: DriverContext): Promise<Driver> {
  refuseUnknown('toy', options, [])
  await attempt(`toy: open ${toText(home)}`, () => {
    makeIfMissing(home)
    purge(home, (message) => warn(`toy: ${message}`))
  })
  const need = (id: LayerId): string => {
    if (lstatOrUndefined(`${home}/${id}`) !== undefined) return `${home}/${id}`
    throw new VarveError('NOT_FOUND', `toy: layer ${id}: there is no ${toText(`${home}/${id}`)}`)
  }
  const belowOf = (id: LayerId, other = parentOf(id)) => (other === undefined ? undefined : need(other))

  return {
    name: 'toy',
    supports: { quota: false, nativeDiff: false, rootless: false, readonlySeal: false, sharing: false },

    async create(id, { parent, writable, options }) {
      refuseLayerOptions('toy', options, 'a toy has no quota')
      const source = parent === undefined ? undefined : need(parent)
      const fill = async (directory: string) => {
        if (source === undefined) chmod(directory, 0o755)
        else await copyTree(source, directory)
        if (writable) syncFileSystem(directory)
      }
      await attempt(`toy: create layer ${id}`, () => makeWhole(home, id, { durable: writable, fill }))
    },
    remove: (id) => attempt(`toy: remove layer ${id}`, () => removeWhole(home, id)),

    get: async (id, { readonly }) => [
      { type: 'bind', source: need(id), options: ['rbind', readonly ? 'ro' : 'rw'] },
    ],
    async put() {},

    changes: (id, parent, options) =>
      attempting(`toy: changes of layer ${id}`, async function* () {
        yield* await compareInThread(belowOf(id, parent), need(id), options)
      }),
    diff: (id, parent, options = {}) =>
      attempting(`toy: diff of layer ${id}`, () => {
        const notice = (text: string) => warn(`toy: diff of layer ${id}: ${text}`)
        return packDifference(need(id), belowOf(id, parent), { ...options, notice })
      }),

    apply: (id, tar, options) =>
      attemptReading(`toy: apply a tar to layer ${id}`, tar, async () => {
        const target = need(id)
        const below = openTree(belowOf(id) ?? target)
        try {
          return await withTemporary(home, async (directory) => {
            const extracted = await extract(directory, tar, {
              ...options,
              whiteouts: 'list',
              lower: below.fd,
            })
            const { whiteouts, opaques, ...applied } = extracted
            await merge(directory, target, { whiteouts, opaques })
            return applied
          })
        } finally {
          below.close()
        }
      }),
    sync: (id) => attempt(`toy: sync layer ${id}`, () => syncFileSystem(need(id))),
    async seal(id) {
      need(id)
    },

    list: () => attempt(`toy: list ${toText(home)}`, () => layersIn(home)),
    usage: (id) => attempt(`toy: usage of layer ${id}`, () => usageOf(need(id))),
    status: async () => [['Layers', String(layersIn(home).length)]],
    metadata: async (id) => ({ Directory: toText(need(id)) }),
    async close() {},
  }
}

export function holdsLayers(home: string): boolean {
  return lstatOrUndefined(home) !== undefined && layersIn(home).length > 0
}
