/** Where good layers come from for a repair: an archive or layout of images, a layer's tar, another store. */

import type { LongOptions } from '../api/options.js'
import type { Store } from '../api/store.js'
import { fromText } from '../bytes.js'
import type { Blob } from '../compress/blob.js'
import { isCode, VarveError } from '../errors.js'
import { openArchiveFile, openSource } from '../formats/read/source.js'
import type { Digest } from '../ids.js'
import { digestOfBlob } from '../layers/fill.js'
import { blobSource, streamSource, type TarSource } from '../layers/tar-source.js'
import { realpath } from '../sys/files.js'
import { isFile, lstatOrUndefined } from '../sys/stat.js'

export interface RepairSource {
  readonly label: string
  readonly diffIds: ReadonlySet<Digest>
  /** The layer's tar, not verified yet; undefined where the source does not have it. */
  find(diffId: Digest): (() => TarSource) | undefined
  close(): Promise<void>
}

export interface RepairSourceOptions extends LongOptions {
  /** Byte string. */
  readonly scratch: string
  /** The store that is repaired: its own root is no source. */
  readonly root: string
  readonly openStore: (root: string) => Promise<Store>
}

/** @throws VarveError NOT_FOUND, INVALID_ARGUMENT (no source of layers), CORRUPT, CANCELLED */
export async function openRepairSource(source: string, options: RepairSourceOptions): Promise<RepairSource> {
  if (source !== '-' && isStore(source)) return ofStore(source, options)
  if (source !== '-') {
    try {
      return await ofImages(source, options)
    } catch (error) {
      if (!isCode(error, 'INVALID_ARGUMENT') || !isPlainFile(source)) throw error
      return ofTar(source, options) // not an archive of images, so it may be a layer's tar
    }
  }
  // A pipe can be read only once, so it is spooled to a file, which is opened through its descriptor.
  const spooled = await openArchiveFile('-', options)
  try {
    const { close, ...found } = await openRepairSource(`/proc/self/fd/${spooled.blob.fd}`, options)
    return {
      ...found,
      label: 'standard input',
      async close() {
        await close()
        spooled.close()
      },
    }
  } catch (error) {
    spooled.close()
    throw error
  }
}

async function ofImages(source: string, options: RepairSourceOptions): Promise<RepairSource> {
  const { images, close } = await openSource(source, options)
  const blobs = new Map<Digest, Blob>()
  const held = images.flatMap(({ layers }) => layers)
  for (const { diffId, blob } of held) if (blob !== undefined) blobs.set(diffId, blob)
  return { ...ofBlobs(source, blobs, options), close }
}

async function ofTar(source: string, options: RepairSourceOptions): Promise<RepairSource> {
  const { blob, close } = await openArchiveFile(source, options)
  try {
    const diffId = await digestOfBlob(blob, options)
    return {
      ...ofBlobs(source, new Map([[diffId, blob]]), options),
      close: async () => close(),
    }
  } catch (error) {
    close()
    throw error
  }
}

function ofBlobs(
  label: string,
  blobs: ReadonlyMap<Digest, Blob>,
  { signal }: LongOptions,
): Omit<RepairSource, 'close'> {
  return {
    label,
    diffIds: new Set(blobs.keys()),
    find(diffId) {
      const blob = blobs.get(diffId)
      return blob && (() => blobSource(blob, signal))
    },
  }
}

async function ofStore(source: string, options: RepairSourceOptions): Promise<RepairSource> {
  if (realpath(fromText(source)) === realpath(fromText(options.root))) {
    throw new VarveError('INVALID_ARGUMENT', `repair from ${source}: that is the store itself`)
  }
  const other = await options.openStore(source)
  const layers = new Map<Digest, string>()
  for (const { diffId, id } of other.layers()) if (diffId !== undefined) layers.set(diffId, id)
  const long = options.signal === undefined ? {} : { signal: options.signal }
  return {
    label: source,
    diffIds: new Set(layers.keys()),
    find(diffId) {
      const id = layers.get(diffId)
      return id === undefined
        ? undefined
        : () => streamSource(other.exportLayer(id, long), `layer ${id} of ${source}`)
    },
    close: () => other.close(),
  }
}

function isStore(source: string): boolean {
  const stat = lstatOrUndefined(fromText(`${source}/varve.db`))
  return stat !== undefined && isFile(stat.mode)
}

function isPlainFile(source: string): boolean {
  return lstatOrUndefined(fromText(`${source}/.`)) === undefined
}
