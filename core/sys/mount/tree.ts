/**
 * Mounts that are attached nowhere yet, made by the calls of Linux 5.2 and later: one descriptor each, and with its last
 * reference the mount is gone.
 */
import type { Mount } from '../../driver.js'
import { closeRaw } from '../directory.js'
import { SysError } from '../error.js'
import { AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, check, ENOSYS, errno, kernel, text } from '../libc.js'
import { enter } from '../seam.js'
import {
  configure,
  configureDirectory,
  configureWord,
  FSCONFIG_STRING,
  mountContext,
  takesKeys,
} from './fs-context.js'
import { isBind, isRecursive, type MountWords, MS_PRIVATE, parseWords } from './options.js'
import { parseLayers } from './overlay-data.js'

/**
 * A descriptor of the mount, which is private; undefined where it takes mount(2): this kernel lacks the calls, overlay has
 * no `lowerdir+`, or a word is too long for them.
 * @throws SysError; its message ends with the kernel's own words where it logged any
 */
export function mountTree(mount: Mount): number | undefined {
  if (isBind(mount)) return bindTree(mount)
  if (mount.type === 'overlay') return takesLowersSingly() ? overlayTree(mount) : undefined
  return fileSystemTree(mount)
}

/** Attaches it on top of what is mounted at the file that `place` is open on. `name` is for the error. */
export function attachTree(fd: number, place: number, name: string): void {
  enter('move_mount', name)
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
  check(kernel.move_mount(fd, EMPTY, place, EMPTY, flags), 'move_mount', name)
}

/** A copy of what is mounted at `path`, with all that is mounted below; undefined where the kernel can't. @throws SysError */
export function cloneMounts(path: string): number | undefined {
  return openMounts(path, true)
}

/**
 * Does overlay take `lowerdir+`? It came with 6.7. Before 6.5 overlay accepted any key without looking at it, so an invented
 * key is tried too.
 */
export function takesLowersSingly(): boolean {
  if (singly !== undefined) return singly
  const taken = takesKeys('overlay', { 'varve-unknown': 'x', 'lowerdir+': '/' })
  if (taken === undefined) return false // and no more than now: overlay may be loaded later
  singly = !taken['varve-unknown'] && taken['lowerdir+']
  return singly
}

function bindTree(mount: Mount): number | undefined {
  const recursive = isRecursive(mount)
  const fd = openMounts(mount.source, recursive)
  if (fd === undefined) return undefined
  let done = false
  try {
    done = setAttributes(fd, parseWords(mount.options), recursive)
    return done ? fd : undefined
  } finally {
    if (!done) closeRaw(fd)
  }
}

function openMounts(path: string, recursive: boolean): number | undefined {
  enter('open_tree', path)
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0)
  const fd = kernel.open_tree(AT_FDCWD, text(path), flags)
  return fd < 0 && errno() === ENOSYS ? undefined : check(fd, 'open_tree', path)
}

/** False where the kernel has no mount_setattr (before 5.12). */
function setAttributes(fd: number, words: MountWords, recursive: boolean): boolean {
  const attributes = [words.attributes, words.cleared, words.propagation & ~0x4000 || MS_PRIVATE, 0]
  const bytes = new Uint8Array(new BigUint64Array(attributes.map(BigInt)).buffer)
  const flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0)
  enter('mount_setattr')
  if (kernel.mount_setattr(fd, EMPTY, flags, bytes, bytes.length) === 0) return true
  if (errno() === ENOSYS) return false
  throw new SysError(errno(), 'mount_setattr')
}

function overlayTree(mount: Mount): number | undefined {
  const words = parseWords(mount.options)
  const layers = parseLayers(words.data)
  return mountContext('overlay', words.attributes, (context) => {
    configure(context, 'source', mount.source)
    for (const lower of layers.lowers) configureDirectory(context, 'lowerdir+', lower)
    for (const lower of layers.dataLowers) configureDirectory(context, 'datadir+', lower)
    if (layers.upper !== undefined) configureDirectory(context, 'upperdir', layers.upper)
    if (layers.work !== undefined) configureDirectory(context, 'workdir', layers.work)
    for (const word of [...layers.rest, ...words.superFlags]) configureWord(context, word)
  })
}

function fileSystemTree(mount: Mount): number | undefined {
  const words = parseWords(mount.options)
  if ([mount.source, ...words.data].some((word) => word.length >= FSCONFIG_STRING)) return undefined
  return mountContext(mount.type, words.attributes, (context) => {
    configure(context, 'source', mount.source)
    for (const word of [...words.data, ...words.superFlags]) configureWord(context, word)
  })
}

let singly: boolean | undefined
const EMPTY = Buffer.alloc(1)
const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0o2000000
const MOVE_MOUNT_F_EMPTY_PATH = 4
const MOVE_MOUNT_T_EMPTY_PATH = 0x40
