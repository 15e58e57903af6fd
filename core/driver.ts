/**
 * The contract between varve's core and a backend.
 *
 * ## Words
 *
 * - **layer**: a file-system tree that a driver keeps, named by a {@link LayerId}. It has at most one parent and shows
 *   the parent's content with its own changes on top (its *merged view*).
 * - **writable layer**: may be changed through its mounts until it is sealed.
 * - **sealed layer**: never changes again; the only kind that may be a parent.
 * - **own content**: what the layer itself adds, modifies and deletes over its parent.
 * - **mount**: a recipe, as data, by which anybody with the rights makes a merged view visible at a directory.
 * - **path**: relative to the layer's root, no leading or trailing slash, `''` for the root itself. Names on Linux are
 *   bytes: every path and name in core and drivers is a *byte string*, a JS string of which each char code (0 to 255) is
 *   one byte (`latin1`). Decode only to print (`core/bytes.ts`).
 *
 * ## Who promises what
 *
 * The *store* (core) promises a driver: ids are legal; a parent exists, is sealed, and is in the chain that
 * {@link DriverContext.parentOf} returns; calls for one layer never overlap unless they are `get`, `put`, `changes`,
 * `diff` or reads; a row that names the layer is there before `create` and gone only after `remove` (a power cut may take
 * the row first: then the next open removes the layer).
 * The store hashes, decompresses, counts references, performs mounts and keeps all metadata; a driver does none of it.
 *
 * A *driver* promises: `create` is atomic (there or not, also after a power cut: by a temporary name that is
 * renamed, or by an intent, see below); what was written in a layer is on disk after `sync`; `remove` is idempotent
 * and leaves nothing; errors are VarveErrors whose message names the driver, the layer and the system's own words;
 * nothing outside its `home` is touched on behalf of a layer's content; nothing that a reboot can change is cached on
 * disk. A layer that `create` made need not be on disk when that returns, where nothing makes it but its id and its
 * parent: the store makes it again should a power cut take it.
 *
 * ## A layer's life, as the store calls it
 *
 *     create(id, {parent, writable: false}) → apply(id, tar) → sync(id) → seal(id)       an imported layer
 *     create(id, {parent, writable: true}) → get/put … → sync(id) → seal(id)              a container's layer, committed
 *     get(id, {readonly: true}) → read the merged view → put(id)                         export, cat, check
 *     remove(id)                                                                         any of them, at any point
 *
 * An image layer need not be a directory (it may be a dataset, a device, or a file that is mounted): core reaches its
 * files only through `get`.
 *
 * ## Activation
 *
 * Where a layer must be *activated* before its mounts can be performed (a device attached, a base image mounted below
 * `home` for all that stack on it), the driver has {@link Driver.active}; one without it has nothing to put. Then:
 *
 * - Whatever uses a layer holds a shared use lock on it and on all its ancestors, in whichever process, while it does; the
 *   lock dies with the process. The store takes it around every call of the driver that reads or writes layers as well.
 * - A layer also counts as used while it, or a layer on it, is mounted by the store, or its mounts were handed to an engine:
 *   until the engine removes or commits it, also across a reboot, after which the next `get` activates it again. Mounts that
 *   another caller was given keep it until that process removes the layer or closes the store.
 * - `put` is called only where nobody uses the layer, under the exclusive use lock, children before their parents. `remove`
 *   waits for that lock too, whether the layer is active or not.
 * - After a forced removal files of the layer may still be open: `put` and `remove` must bear that.
 * - At every open the store asks `active` and puts what nobody needs: what a killed process left.
 *
 * A driver's own mounts lie below its `home`, in the mount namespace of whoever called `get`. Each belongs to a layer, whose
 * activation it is: `active` lists that layer, `get` makes the mount anew where a reboot took it, and it is gone after the
 * layer's `put` and `remove`. So what a killed process left is put at the next open, and `check` reports it until then.
 *
 * ## Layers that are no directories
 *
 * `create` and `remove` are atomic also where a tool makes a device or a dataset. One way are temporaries that are
 * renamed (`drivers/temporary.ts`); the other is an *intent*: what was begun is in {@link DriverState} before the tool is
 * called, `open` finishes or undoes it, and the entry says so when the layer is there, and goes with it. Numbers that a
 * backend hands out come from {@link DriverState.claim}, names that processes compete for from {@link DriverState.claimKey}.
 */

import type { LayerId } from './ids.js'
import type { ByteChannel } from './threads/channel.js'

/** A backend, as `drivers/all.ts` lists it. Importing one must be cheap and have no side effect. */
export interface DriverModule {
  /** `overlay`, `vfs`, `btrfs` … */
  readonly name: string
  /** Place in the order of selection: lower is tried first. */
  readonly priority: number
  /** Options it takes (`--storage-opt NAME.KEY=VALUE` or `KEY=VALUE`), for help, completion and suggestions. */
  readonly options: readonly DriverOption[]
  /**
   * May it be used for a data root here? Real tests (a test mount) in a directory of its own made below `host.scratch`;
   * leaves nothing. Never throws for "not here": that is a verdict.
   */
  probe(host: Host): Promise<Probe>
  /** Are layers of this driver in `home` (which may be missing)? Looks only; asked of a root without a database. */
  holdsLayers(home: string): Promise<boolean>
  /** Opens (and makes) `context.home`; purges its own temporaries. @throws VarveError */
  open(context: DriverContext): Promise<Driver>
}

export interface DriverOption {
  readonly key: string
  /** One line, ends up in help. */
  readonly help: string
  readonly example: string
}

/** Where a probe looks. */
export interface Host {
  /** An existing directory on the file system that would hold the data; a probe may make a temporary child in it. */
  readonly scratch: string
  readonly options: ReadonlyMap<string, string>
}

export type Verdict = 'supported' | 'unsupported' | 'prerequisite missing' | 'wrong file system'

export interface Probe {
  readonly verdict: Verdict
  /** What was tried and what came back; shown by `varve driver ls`. Empty only where supported without remark. */
  readonly reason: string
  /** Facts found (`Backing Filesystem`, `Supports d_type` …), shown by `info`. */
  readonly facts: readonly (readonly [name: string, value: string])[]
}

export interface DriverContext {
  /** The driver's own directory, 0700, made by the store: `<root>/<driver name>`. */
  readonly home: string
  readonly options: ReadonlyMap<string, string>
  /** The parent of a layer, from the store's graph; undefined for a base layer or an unknown id. */
  parentOf(id: LayerId): LayerId | undefined
  /** What a driver must remember and can't find in `home` (device ids …); durable before `set` returns. */
  readonly state: DriverState
  /** Warnings an admin should see (a fall-back taken, a temporary purged). */
  warn(message: string): void
}

export interface DriverState {
  get(key: string): string | undefined
  set(key: string, value: string): void
  delete(key: string): void
  /**
   * Sets `PREFIX + N` for the lowest free number N from `from` (default 0) on, and gives N: no two processes get the same.
   * It is free again after `delete`.
   */
  claim(prefix: string, value: string, options?: { readonly from?: number }): number
  /** Sets `key` where it has no value; false where it has one: another process was faster. Free again after `delete`. */
  claimKey(key: string, value: string): boolean
  entries(prefix: string): Iterable<readonly [key: string, value: string]>
}

export interface CreateOptions {
  readonly parent?: LayerId
  /** A container's layer (true) or one that `apply` will fill once (false). */
  readonly writable: boolean
  /** Per-layer options, `size` for a quota. An unknown one is INVALID_ARGUMENT. */
  readonly options?: ReadonlyMap<string, string>
}

/** One mount(2), as data: `type` is a file-system type or `bind`; options are fstab words. containerd's form. */
export interface Mount {
  readonly type: string
  readonly source: string
  /** A path in what the mounts before this one show, where it is mounted; default: at the root of it. */
  readonly target?: string
  readonly options: readonly string[]
}

export type ChangeKind = 'add' | 'modify' | 'delete'

export interface Change {
  readonly path: string
  readonly kind: ChangeKind
}

/** What a backend can do: to be asked instead of its name. */
export interface Supports {
  /** `size` on a writable layer is enforced (ENOSPC or EDQUOT past it). */
  readonly quota: boolean
  /** `changes` costs what the change costs, not what the layer holds. */
  readonly nativeDiff: boolean
  /** Works without root (for files of the caller's own). */
  readonly rootless: boolean
  /** A sealed layer is read-only by the backend itself, not by convention. */
  readonly readonlySeal: boolean
  /** Several layers share page cache and disk blocks. */
  readonly sharing: boolean
}

/** What `apply` did. */
export interface Applied {
  /** Bytes of regular-file content laid down, each inode once. */
  readonly size: number
  /** Inodes made (files, directories, links, devices). */
  readonly inodes: number
  readonly entries: number
  /**
   * Tar payloads that are *not* in the layer under their entry's path, because a later entry of the same tar replaced
   * them: content by sha256 (raw, hex). The split record keeps their bytes.
   */
  readonly replaced: readonly ReplacedPayload[]
  /** Directories that the tar named through a symlink: [as named, as resolved], both paths. */
  readonly aliases: readonly (readonly [named: string, real: string])[]
  /** Things a person should know (a socket skipped, an xattr the file system refused). At most 100 and a count. */
  readonly notices: readonly string[]
}

/** What decides on whether an attribute can be kept at all. */
export type InodeKind = 'file' | 'directory' | 'symlink' | 'other'

/** Something of an entry that the file system, or the caller's rights, did not take. A notice says so too. */
export interface LeftOut {
  /** Where in the layer it would be. */
  readonly path: string
  /**
   * `node` (the entry itself), `owner`, `mode`, `time`, or `xattr NAME`. Of the root also what no entry of the layer has:
   * `owners`, and `KIND xattr NAME` for every file, directory, symlink or other inode.
   */
  readonly what: 'node' | 'owner' | 'owners' | 'mode' | 'time' | `${'' | `${InodeKind} `}xattr ${string}`
}

/** A file below the store's temporary directory that holds the payload; whoever receives the result removes it. */
export interface ReplacedPayload {
  readonly sha256: string
  readonly size: number
  readonly file: string
}

export interface Usage {
  /** Bytes of disk that the layer's own content takes (st_blocks × 512, each inode once). */
  readonly size: number
  readonly inodes: number
}

export interface ApplyOptions {
  readonly signal?: AbortSignal
  /** An existing 0700 directory on the store's file system for {@link ReplacedPayload} files. */
  readonly scratch: string
  /** Gets all that is left out, in batches. */
  readonly leftOut?: (found: readonly LeftOut[]) => void
}

export interface Healed {
  /** Entries that were made, taken away, or changed in any way; undefined where the whole layer was missing. */
  readonly changed: number | undefined
}

/** A plain object: the store puts its own functions in the place of some, so they use no `this`. */
export interface Driver {
  readonly name: string
  readonly supports: Supports

  /** An empty layer (root 0755 root:root), or a copy-on-write child of `parent`. Atomic. ALREADY_EXISTS, NOT_FOUND. */
  create(id: LayerId, options: CreateOptions): Promise<void>
  /** Gone with all its resources; removing what is not there succeeds. */
  remove(id: LayerId): Promise<void>
  /**
   * Makes the layer reachable; its mounts, most basic first. Idempotent; NOT_FOUND. A sealed layer is always got
   * `readonly`; a writable one also is, to be looked into. Several mounts, or one with a target, are for engines and for
   * looking; the store itself mounts only one.
   */
  get(id: LayerId, options: { readonly readonly: boolean }): Promise<readonly Mount[]>
  /** Deactivates the layer. Idempotent; called only while nobody uses the layer or one on it. */
  put(id: LayerId): Promise<void>
  /** The layers that are active now, whoever activated them. Absent: no layer needs it, and `put` does nothing. */
  active?(): Promise<readonly LayerId[]>
  /**
   * What `id` has and `parent` has not (default: its own parent, or the empty tree): sorted by path bytes, complete, or
   * an error. Parent directories of a change are listed only where they changed themselves. A replaced type is
   * `modify`; below a deleted directory nothing more is listed.
   */
  changes(id: LayerId, parent?: LayerId, options?: { readonly signal?: AbortSignal }): AsyncIterable<Change>
  /**
   * The tar of those changes, with OCI whiteouts; the same bytes every time. Zeros are in it in full, never a sparse entry.
   * What no tar can hold (a socket) is left out and reported through `warn`. Chunks are reused: copy to keep.
   */
  diff(id: LayerId, parent?: LayerId, options?: { readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** Lays the uncompressed tar into a layer that was just created and never written. */
  apply(id: LayerId, tar: ByteChannel, options: ApplyOptions): Promise<Applied>
  /**
   * The tar that filled the layer, exactly as `apply` got it, if the driver keeps it and reads the layer's files from it;
   * otherwise undefined. Which of the two is known from `create` on; nothing is opened before it is read. The store then has no
   * record of the tar, exports this one, and checks the files by its digest. Chunks are reused: copy to keep. NOT_FOUND.
   * Absent: always undefined.
   */
  tar?(
    id: LayerId,
    options?: { readonly signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array> | undefined>
  /** Makes the layer and all that was written in it durable. */
  sync(id: LayerId): Promise<void>
  /** No more writes. Idempotent. */
  seal(id: LayerId): Promise<void>
  /**
   * Undoes the seal of a commit that was interrupted: the layer is writable, as it was. Idempotent; absent where a sealed
   * layer still takes a writable mount.
   */
  unseal?(id: LayerId): Promise<void>

  /**
   * Makes a sealed layer's own content that of `good`, in place: what is sound stays, so who has the layer mounted, or a
   * child of it, goes on and sees it mended. `good` is a layer on the same parent that was just filled with the same tar
   * and not sealed; it may be gone afterwards. Where there is no layer `id` (any more), `good` becomes it. Killed or
   * failed in between, it is partly mended and the same call does the rest. The store syncs and seals it then. A tar that the
   * driver keeps is part of the content. Absent: it can't be mended.
   */
  heal?(id: LayerId, good: LayerId, options: { readonly signal?: AbortSignal }): Promise<Healed>

  list(): Promise<readonly LayerId[]>
  usage(id: LayerId): Promise<Usage>
  status(): Promise<readonly (readonly [name: string, value: string])[]>
  /** Facts for engines and admins. `Problem`: what was done to a sealed layer behind the driver's back, if it can tell. */
  metadata(id: LayerId): Promise<Readonly<Record<string, string>>>
  close(): Promise<void>
}
