/** Layers and images as data, for tests of graphs and completion. */

import type { FileInfo, ImageInfo, LayerInfo } from '../../core/api/store.js'
import { type ChainId, type Digest, digestOf, type LayerId, parseLayerId } from '../../core/ids.js'

/** `sha256:` of one byte, repeated. */
export function digest(byte: number): Digest {
  return digestOf(Buffer.alloc(32, byte))
}

export function layer(id: string, rest: Partial<LayerInfo> = {}): LayerInfo {
  return {
    id: parseLayerId(id),
    kind: 'committed',
    parent: undefined,
    names: [],
    snapshots: [],
    chainId: undefined,
    diffId: undefined,
    tarSize: undefined,
    entries: undefined,
    size: undefined,
    created: 0,
    updated: 0,
    labels: {},
    children: 0,
    images: [],
    mounts: [],
    ...rest,
  }
}

export function chain(byte: number): ChainId {
  return digest(byte) as ChainId
}

export function image(byte: number, names: readonly string[], layers: readonly string[]): ImageInfo {
  return {
    id: digest(byte),
    names,
    platform: 'linux/amd64',
    created: undefined,
    layers: layers.map(parseLayerId),
    diffIds: [],
    size: 0,
    imported: 0,
  }
}

export function file(path: string, rest: Partial<FileInfo> = {}): FileInfo {
  return {
    path,
    type: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeSec: 0,
    mtimeNsec: 0,
    target: '',
    hardlink: undefined,
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    sha256: undefined,
    layer: 'l' as LayerId,
    ...rest,
  }
}
