/** overlay's mount data: how it names directories (Documentation/filesystems/overlayfs.rst). */

import { constants } from 'node:fs'
import { VarveError } from '../../errors.js'
import { close, open, readlink } from '../files.js'
import { O_PATH } from '../libc.js'

export interface OverlayLayers {
  /** Uppermost first. Real paths, nothing escaped. */
  readonly lowers: readonly string[]
  /** Data-only layers (behind `::`). */
  readonly dataLowers: readonly string[]
  readonly upper: string | undefined
  readonly work: string | undefined
  /** All other options. */
  readonly rest: readonly string[]
}

/** mount(2) takes one page of data with its NUL. */
export const PAGE = 4096

/** In these options `\` makes the next character part of a name, even `:` and `\`. */
export function parseLayers(data: readonly string[]): OverlayLayers {
  const value = (key: string) => data.findLast((word) => word.startsWith(`${key}=`))?.slice(key.length + 1)
  const [lowers = [], ...dataLowers] = splitLowers(value('lowerdir') ?? '')
  const upper = value('upperdir')
  const work = value('workdir')
  return {
    lowers,
    dataLowers: dataLowers.flat(),
    upper: upper === undefined ? undefined : unescapeName(upper),
    work: work === undefined ? undefined : unescapeName(work),
    rest: data.filter((word) => !/^(lowerdir|upperdir|workdir)=/.test(word)),
  }
}

/**
 * Calls `use` with the data in one page. Where it is longer, the lowers' common directory is opened and named by its
 * descriptor: a relative path would need chdir, which is the whole process's. @throws VarveError RESOURCE_EXHAUSTED
 * where that is too long as well
 */
export function withOnePage(layers: OverlayLayers, use: (data: string) => void): void {
  const data = join(layers, (path) => path)
  if (data.length < PAGE) {
    use(data)
    return
  }
  const parent = commonParent([...layers.lowers, ...layers.dataLowers])
  if (parent === '') throw tooLong(layers, data.length)
  const fd = open(parent, O_PATH | constants.O_DIRECTORY)
  try {
    const prefix = `${descriptors()}/${fd}`
    const short = join(layers, (path) =>
      path.startsWith(`${parent}/`) ? `${prefix}${path.slice(parent.length)}` : path,
    )
    if (short.length >= PAGE) throw tooLong(layers, short.length)
    use(short)
  } finally {
    close(fd)
  }
}

/** The shorter of the two paths, where it exists; `/dev/fd` is a symlink that udev makes. */
function descriptors(): string {
  try {
    return readlink('/dev/fd') === '/proc/self/fd' ? '/dev/fd' : '/proc/self/fd'
  } catch {
    // A bare /dev: ENOENT.
    return '/proc/self/fd'
  }
}

/** `:` separates lower directories, `,` options; both and `\` are escaped by `\` (overlayfs.rst, fs/overlayfs/params.c). */
export function escapePath(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&')
}

function join(layers: OverlayLayers, name: (path: string) => string): string {
  const { lowers, dataLowers, upper, work, rest } = layers
  const escaped = (path: string) => escapePath(name(path))
  const lower = [lowers.map(escaped).join(':'), ...dataLowers.map(escaped)].join('::')
  const words = [`lowerdir=${lower}`]
  if (upper !== undefined) words.push(`upperdir=${escaped(upper)}`)
  if (work !== undefined) words.push(`workdir=${escaped(work)}`)
  return [...words, ...rest].join(',')
}

/** The lists between `::`, each split at its single colons, unescaped. */
function splitLowers(value: string): string[][] {
  const groups: string[][] = [[]]
  // A name is anything but colons, with backslash pairs; the empty match between two colons begins a new group.
  for (const [index, name] of (value.match(/(?:^|:)((?:\\.|[^:\\])*)/gs) ?? []).entries()) {
    const path = index === 0 && !name.startsWith(':') ? name : name.slice(1)
    if (path === '') groups.push([])
    else groups.at(-1)?.push(unescapeName(path))
  }
  return groups.filter((group) => group.length > 0)
}

function unescapeName(value: string): string {
  return value.replace(/\\(.)/gs, '$1')
}

/** The longest directory that is above all of `paths`, without a trailing slash. */
function commonParent(paths: readonly string[]): string {
  const [first = '', ...others] = paths
  let length = first.lastIndexOf('/')
  while (length > 0 && !others.every((path) => path.startsWith(first.slice(0, length + 1)))) {
    length = first.lastIndexOf('/', length - 1)
  }
  return first.slice(0, Math.max(length, 0))
}

function tooLong(layers: OverlayLayers, length: number): VarveError {
  const count = layers.lowers.length + layers.dataLowers.length
  return new VarveError(
    'RESOURCE_EXHAUSTED',
    `overlay: ${count} lower directories make ${length} bytes of mount data, and mount(2) takes one page (${PAGE}): ` +
      'use a kernel that takes them one by one (6.7 or later), fewer layers or shorter paths',
  )
}
