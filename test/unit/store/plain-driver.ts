/** A minimal real backend for the store's own tests: a layer is a directory, a child a copy of its parent. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import type { Change, Driver, DriverModule, Verdict } from '../../../core/driver.js'
import { VarveError } from '../../../core/errors.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { drain } from '../../../core/threads/channel.js'

export interface PlainOptions {
  readonly name?: string
  readonly priority?: number
  readonly verdict?: Verdict
  /** Called before each call of the driver; may throw or wait. */
  readonly before?: (call: string, id: LayerId) => void | Promise<void>
}

export function plainModule(options: PlainOptions = {}): DriverModule {
  const { name = 'plain', priority = 1, verdict = 'supported' } = options
  return {
    name,
    priority,
    options: [{ key: 'colour', help: 'A colour', example: 'colour=red' }],
    probe: async () => ({ verdict, reason: verdict === 'supported' ? '' : 'as the test has it', facts: [] }),
    // Layers lie two levels below the home, whatever they are called.
    holdsLayers: async (home) =>
      existsSync(home) && readdirSync(home).some((folder) => readdirSync(`${home}/${folder}`).length > 0),
    open: async ({ home }) => plainDriver(home, options),
  }
}

function plainDriver(home: string, { name = 'plain', before = () => {} }: PlainOptions): Driver {
  const layers = `${home}/layers`
  mkdirSync(layers, { recursive: true })
  const path = (id: LayerId) => `${layers}/${id}`
  const requireLayer = (id: LayerId) => {
    if (!existsSync(path(id))) throw new VarveError('NOT_FOUND', `${name}: no layer ${id}`)
  }
  return {
    name,
    supports: { quota: false, nativeDiff: false, rootless: true, readonlySeal: false, sharing: false },
    async create(id, { parent }) {
      await before('create', id)
      if (existsSync(path(id))) throw new VarveError('ALREADY_EXISTS', `${name}: layer ${id} is there`)
      if (parent === undefined) mkdirSync(path(id))
      else {
        requireLayer(parent)
        cpSync(path(parent), path(id), { recursive: true })
      }
    },
    async remove(id) {
      await before('remove', id)
      rmSync(path(id), { recursive: true, force: true })
    },
    async get(id, { readonly }) {
      await before('get', id)
      requireLayer(id)
      return [{ type: 'bind', source: path(id), options: ['rbind', readonly ? 'ro' : 'rw'] }]
    },
    put: async () => {},
    async *changes(): AsyncGenerator<Change, void> {},
    async *diff() {},
    async apply(id, tar) {
      await before('apply', id)
      for await (const _ of drain(tar));
      return { size: 0, inodes: 0, entries: 0, replaced: [], aliases: [], notices: [] }
    },
    sync: async () => {},
    async seal(id) {
      await before('seal', id)
    },
    list: async () => readdirSync(layers).sort().map(parseLayerId),
    usage: async () => ({ size: 4096, inodes: 1 }),
    status: async () => [],
    metadata: async () => ({}),
    close: async () => {},
  }
}
