/**
 * The driver kit, the package's entry `varve/driver-kit`: all that the author of a driver needs, in one place. It is the API for
 * drivers of other projects, not a barrel for this one: the drivers here import the files themselves. Only the
 * examples, test/conformance/toy and toy-device, import the kit, as a driver of another project would.
 *
 * It loads koffi and much of core. So the file that exports a `DriverModule` should import only types from here; its `probe`
 * and `open` import the rest when they are called.
 */

// The contract, and its words for layers, errors and byte strings.
// biome-ignore lint/performance/noBarrelFile: this file is the package's API for drivers
export { asText, fromText, toBytes, toText } from '../core/bytes.js'
export type * from '../core/driver.js'
export { type ErrorCode, errnoOf, isCode, messageOf, VarveError } from '../core/errors.js'
// A tar into a directory, and a directory's changes into a tar.
export { type Extracted, type ExtractOptions, extract } from '../core/extract/extract.js'
export { merge } from '../core/extract/merge.js'
export { type HealedTree, type HealOptions, healTree } from '../core/heal/heal.js'
export { type LayerId, parseLayerId } from '../core/ids.js'
export { type PackOptions, packChanges, packDifference } from '../core/pack/pack-changes.js'
export { baseOf, directoryOf, join } from '../core/paths.js'
export { type RunFailure, type RunOptions, type RunResult, run, which } from '../core/sys/exec.js'
export {
  chmod,
  close,
  fsync,
  lchown,
  link,
  mkdir,
  mknod,
  open,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  read,
  readdir,
  readdirTypes,
  readlink,
  removeTree,
  rename,
  renameat2,
  rmdir,
  symlink,
  unlink,
  utimens,
  writeAll,
} from '../core/sys/files.js'
export { type Lock, lockIn, tryLockIn } from '../core/sys/lock.js'
export { attachLoop, detachLoop } from '../core/sys/loop.js'
// The system: every call and command passes the seam of core/sys.
export { detached } from '../core/sys/mount/detached.js'
export { makeReadonly, makeWritable } from '../core/sys/mount/mount.js'
export {
  fstat,
  isBlock,
  isChar,
  isDirectory,
  isFifo,
  isFile,
  isSocket,
  isSymlink,
  lstat,
  lstatAt,
  lstatOrUndefined,
  type Stat,
  stat,
} from '../core/sys/stat.js'
export { type FileSystem, fsName, statfs } from '../core/sys/statfs.js'
export { syncDirectory, syncFileSystem } from '../core/sys/sync.js'
export { getxattr, listxattr, removexattr, setxattr } from '../core/sys/xattr.js'
export { type ByteChannel, createChannel, drain, pump, recycle } from '../core/threads/channel.js'
// Trees: held open, compared, copied, walked.
export { type CompareOptions, compareInThread, compareTrees } from '../core/tree/compare.js'
export {
  at,
  lstatAtOrUndefined,
  openDirectory,
  openTree,
  openTrees,
  type Tree,
} from '../core/tree/confined.js'
export { type Copied, copyTree } from '../core/tree/copy.js'
export { type WalkEntry, walk } from '../core/tree/walk.js'
// Layers that are directories: whole or not there, on disk, counted; options; errors that say what was done.
export { keepsOrder, syncTree } from './durable.js'
export { attempt, attempting, attemptReading } from './failure.js'
export { hasFileSystem, inUserNamespace, readSmall } from './kernel.js'
export { holdsLayersIn } from './layers-in-home.js'
export { onOff, refuseLayerOptions, refuseUnknown } from './options.js'
// Layers that overlayfs stacks.
export { changesOfUpper, type Sides } from './overlayfs/changes.js'
export {
  type Features,
  readFeatures,
  readOnlyOptions,
  type Wishes,
  writableOptions,
} from './overlayfs/features.js'
export { healUpper } from './overlayfs/heal.js'
export { createLinkCheck, type LinkCheck } from './overlayfs/links.js'
export {
  type DirectoryMarks,
  directoryMarks,
  isMetadataOnly,
  isPrivate,
  isWhiteout,
} from './overlayfs/marks.js'
export { MAX_LOWERS, readOnlyMount, writableMount } from './overlayfs/mounts.js'
export { makeRoot } from './overlayfs/root.js'
export { type Failed, refuseBacking, testBacking, testMounts } from './overlayfs/trial.js'
export {
  isRealDirectory,
  type Kind,
  layersIn,
  makeIfMissing,
  makeWhole,
  openTemporary,
  purge,
  removeWhole,
  replaceWhole,
  withTemporary,
} from './temporary.js'
export { unavailable } from './unavailable.js'
export { usageOf } from './usage.js'
