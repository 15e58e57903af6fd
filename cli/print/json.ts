/** The JSON shapes that more than one command prints; README.md describes them. */
import type { DetailedChange, FileInfo, ImageInfo, LayerInfo } from '../../core/store.js'
import { instant, jsonName, short, timestamp } from './format.js'

export function imageJson(image: ImageInfo) {
  const { imported, ...rest } = image
  return { ...rest, imported: timestamp(imported) }
}

export function layerJson(layer: LayerInfo) {
  const { created, updated, ...rest } = layer
  return { ...rest, created: timestamp(created), updated: timestamp(updated) }
}

/** The name to print for a layer: its chain id; for a layer that has none yet, a name, else its id. */
export function handleOf(layer: LayerInfo): string {
  return layer.chainId ?? layer.names[0] ?? layer.id
}

const LONGEST = 32

/** The same for a table: a digest is shortened, a name that would fill the line is replaced by the store's own id. */
export function shortHandle(layer: LayerInfo): string {
  if (layer.chainId !== undefined) return short(layer.chainId)
  const handle = handleOf(layer)
  return handle.length <= LONGEST ? handle : layer.id
}

export function fileJson(file: FileInfo) {
  const device = file.type === 'char' || file.type === 'block'
  return {
    path: jsonPath(file.path),
    type: file.type,
    mode: octal(file.mode),
    uid: file.uid,
    gid: file.gid,
    size: file.size,
    mtime: instant(file.mtimeSec, file.mtimeNsec),
    ...(file.type === 'symlink' ? { target: jsonName(file.target) } : {}),
    ...(file.hardlink === undefined ? {} : { hardlink: jsonPath(file.hardlink) }),
    ...(device ? { device: `${file.devMajor}:${file.devMinor}` } : {}),
    ...(file.xattrs.size === 0 ? {} : { xattrs: xattrsJson(file.xattrs) }),
    ...(file.sha256 === undefined ? {} : { sha256: file.sha256 }),
    layer: file.layer,
  }
}

/** Other tools read these lines: exactly `path` and `kind`, nothing more. */
export function changeJson(change: DetailedChange) {
  return { path: jsonPath(change.path), kind: change.kind }
}

/** Absolute from the layer's root: `/etc/hosts`, `/` for the root itself. */
export function jsonPath(path: string): string {
  return `/${jsonName(path)}`
}

/** `0755` */
export function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}

/** Values are bytes, so base64. */
function xattrsJson(xattrs: ReadonlyMap<string, string>) {
  return Object.fromEntries(
    [...xattrs].map(([key, value]) => [jsonName(key), Buffer.from(value, 'latin1').toString('base64')]),
  )
}
