/**
 * The images of the layers, `<home>/images/<number>`: each a sparse file with an ext4 in it. Which layer has which number is in
 * DriverState, and so is what is under way: `making ID` before there is a file, `there ID`, `removing ID` until it is gone.
 * Paths are byte strings.
 */
import { constants } from 'node:fs'
import {
  asText,
  chmod,
  close,
  type DriverContext,
  fsync,
  type LayerId,
  lockIn,
  lstatOrUndefined,
  makeIfMissing,
  open,
  parseLayerId,
  readdir,
  removeTree,
  rename,
  run,
  syncDirectory,
  tryLockIn,
  VarveError,
} from '../../../drivers/kit.js'
import { detach } from './loop.js'

export interface Image {
  readonly layer: LayerId
  readonly path: string
}

export interface Images {
  list(): readonly Image[]
  find(id: LayerId): string | undefined
  /** @throws VarveError NOT_FOUND */
  need(id: LayerId): string
  /** A copy of `from`, or an empty one; on disk when this returns. @throws VarveError ALREADY_EXISTS */
  make(id: LayerId, from?: string): Promise<void>
  remove(id: LayerId): Promise<void>
  /** Nobody else makes, removes, attaches or detaches the layer's image meanwhile. */
  alone<T>(id: LayerId, work: () => T | Promise<T>): Promise<T>
}

export const TOOLS = ['mkfs.ext4', 'debugfs', 'cp'] as const

const KEY = 'image '
/** No journal: what is to be on disk `sync` brings there. `ea_inode`: attributes that are larger than a block. */
const MKFS = ['-q', '-F', '-m', '0', '-N', '65536', '-O', '^has_journal,^resize_inode,ea_inode']
const SIZE = '4G'

/** Undoes, or finishes, what a process that was killed had under way. @throws VarveError, SysError */
export async function openImages({ home, state, warn }: DriverContext): Promise<Images> {
  const [folder, blank, locks] = [`${home}/images`, `${home}/blank`, `${home}/lock`]

  const rows = () =>
    Array.from(state.entries(KEY), ([key, value]) => {
      const [phase = '', layer = ''] = value.split(' ')
      return { key, value, phase, layer: parseLayerId(layer), path: `${folder}/${key.slice(KEY.length)}` }
    })
  const list = () => rows().filter(({ phase }) => phase === 'there')
  const find = (id: LayerId) => list().find(({ layer }) => layer === id)?.path
  const alone: Images['alone'] = async (id, work) => {
    const lock = await lockIn(locks, id)
    try {
      return await work()
    } finally {
      lock.release()
    }
  }
  /** The row, which says that it is to go, goes last. */
  const drop = async ({ key, path }: { readonly key: string; readonly path: string }): Promise<void> => {
    await detach(path)
    removeTree(path)
    syncDirectory(folder)
    state.delete(key)
  }

  makeIfMissing(home)
  makeIfMissing(folder)
  const first = await lockIn(locks, 'blank~')
  try {
    if (lstatOrUndefined(blank) === undefined) {
      await makeBlank(`${blank}~`)
      rename(`${blank}~`, blank)
    }
  } finally {
    first.release()
  }
  for (const { key, value, path, layer } of rows().filter(({ phase }) => phase !== 'there')) {
    const lock = tryLockIn(locks, layer)
    // Undefined: who has it under way lives.
    try {
      if (lock === undefined || state.get(key) !== value) continue
      await drop({ key, path })
      warn(`toy-device: removed ${value}, which was interrupted`)
    } finally {
      lock?.release()
    }
  }

  return {
    list,
    find,
    need(id) {
      const path = find(id)
      if (path !== undefined) return path
      throw new VarveError('NOT_FOUND', `toy-device: layer ${id}: it has no image`)
    },
    make: (id, from = blank) =>
      alone(id, async () => {
        if (find(id) !== undefined)
          throw new VarveError('ALREADY_EXISTS', `toy-device: layer ${id}: it has an image already`)
        // A file without a row is of a layer that an older database does not know: it is not written over.
        const free = readdir(folder).reduce((most, name) => Math.max(most, Number(name) + 1), 0)
        const key = `${KEY}${state.claim(KEY, `making ${id}`, { from: free })}`
        const path = `${folder}/${key.slice(KEY.length)}`
        try {
          await run('cp', ['--sparse=always', '--reflink=auto', asText(from), asText(path)])
          chmod(path, 0o600)
          syncFile(path)
          syncDirectory(folder)
          state.set(key, `there ${id}`)
        } catch (error) {
          await drop({ key, path }).catch(() => {}) // the first error counts, and the next open tries again
          throw error
        }
      }),
    remove: (id) =>
      alone(id, async () => {
        for (const { key, path } of rows().filter(({ layer }) => layer === id)) {
          state.set(key, `removing ${id}`)
          await drop({ key, path })
        }
      }),
    alone,
  }
}

export function holdsImages(home: string): boolean {
  return lstatOrUndefined(`${home}/images`) !== undefined && readdir(`${home}/images`).length > 0
}

/** Makes an image with an empty file system, in place of one that was not finished. */
export async function makeBlank(path: string): Promise<void> {
  removeTree(path)
  await run('mkfs.ext4', [...MKFS, asText(path), SIZE])
  // It would be in every layer.
  await run('debugfs', ['-w', '-R', 'rmdir lost+found', asText(path)])
  syncFile(path)
}

export function syncFile(path: string): void {
  const fd = open(path, constants.O_RDONLY)
  try {
    fsync(fd)
  } finally {
    close(fd)
  }
}
