/** The public API: the store and the types of what it returns (core/store.ts). All data, all readonly. */
import type { Change, Mount, Probe, Supports, Usage } from '../driver.js'
import type { ChainId, Digest, LayerId } from '../ids.js'
import type { GraphDriver } from './graph-driver.js'
import type {
  ArchiveFormat,
  CheckOptions,
  Compression,
  ImportOptions,
  LayerLimits,
  LongOptions,
  RepairOptions,
} from './options.js'
import type { NodeKind, Snapshots } from './snapshots.js'

/** One layer of the graph. */
export interface LayerInfo {
  readonly id: LayerId
  readonly kind: NodeKind
  readonly parent: LayerId | undefined
  /** Its names; chain ids are not among them. */
  readonly names: readonly string[]
  /** Those of its names that are an engine's snapshot keys, with the namespace (`default/7/web`). */
  readonly snapshots: readonly string[]
  readonly chainId: ChainId | undefined
  readonly diffId: Digest | undefined
  /** Size of its tar in bytes; undefined for a layer that was never a tar. */
  readonly tarSize: number | undefined
  readonly entries: number | undefined
  /** Bytes on disk of its own content, as measured when it was imported or committed; undefined for an active layer. */
  readonly size: number | undefined
  /** Milliseconds since 1970, with fractions. */
  readonly created: number
  readonly updated: number
  readonly labels: Readonly<Record<string, string>>
  readonly children: number
  /** Images that it belongs to. */
  readonly images: readonly Digest[]
  /** Where it is mounted: each path as often as its mount counts. */
  readonly mounts: readonly string[]
}

export interface ImageInfo {
  /** The digest of its config, the image's id. */
  readonly id: Digest
  readonly names: readonly string[]
  /** `os/architecture[/variant]` */
  readonly platform: string
  readonly created: string | undefined
  /** From the base up. */
  readonly layers: readonly LayerId[]
  readonly diffIds: readonly Digest[]
  /** Bytes of its layers' tars, each layer once. */
  readonly size: number
  readonly imported: number
}

export interface ImportedImage {
  readonly id: Digest
  readonly names: readonly string[]
  /** Layers that this import brought; the store had the others. */
  readonly newLayers: number
  /** Layers that the store had, but damaged, and that were healed from the source; absent for none. */
  readonly healedLayers?: number
  readonly layers: number
}

/** One entry of a layer or of a merged view. Paths, link targets and xattrs are byte strings (core/bytes.ts). */
export interface FileInfo {
  readonly path: string
  readonly type:
    | 'file'
    | 'directory'
    | 'symlink'
    | 'char'
    | 'block'
    | 'fifo'
    | 'socket'
    | 'whiteout'
    | 'opaque'
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  /** A symlink's target. */
  readonly target: string
  /** The path of the same layer that this is a hard link to; undefined for a first name. */
  readonly hardlink: string | undefined
  readonly devMajor: number
  readonly devMinor: number
  readonly xattrs: ReadonlyMap<string, string>
  /** sha256 of the content, hex; undefined where not a regular file or not known without reading it. */
  readonly sha256: string | undefined
  /** The layer it comes from. */
  readonly layer: LayerId
}

/** A change with the file before and after it, for `diff --stat` and `--content`. */
export interface DetailedChange extends Change {
  readonly before: FileInfo | undefined
  readonly after: FileInfo | undefined
}

export interface Finding {
  /** Name of the check, e.g. `layer-directory`, `chain`, `mounts`, `layer-data`. */
  readonly check: string
  readonly subject: string
  readonly message: string
  /** The command that heals it from a good copy, where one does. */
  readonly heal?: string
  /** What `--repair` does about it; undefined where it can do nothing. */
  readonly repair: string | undefined
  readonly repaired: boolean
}

/** What a repair did about one layer that it examined. */
export interface RepairedLayer {
  readonly layer: LayerId
  readonly chainId: ChainId
  /** `damaged`: a dry run would heal it. */
  readonly outcome: 'sound' | 'damaged' | 'healed' | 'failed'
  /** What was wrong. */
  readonly problems: readonly string[]
  /** Healed: files that were mended; undefined where the whole layer was missing. */
  readonly changed?: number | undefined
  /** Healed: the record of its tar was made anew. */
  readonly record?: boolean
  /** Failed: why. */
  readonly reason?: string
}

export interface StoreInfo {
  readonly root: string
  readonly driver: string
  readonly supports: Supports
  readonly schema: number
  readonly layers: number
  readonly images: number
  readonly mounts: number
  /** Bytes of disk, by the driver's usage of every committed layer. */
  readonly size: number
  readonly status: readonly (readonly [name: string, value: string])[]
  /** Where the store is open read-only: the reason, with which every changing call throws FAILED_PRECONDITION. */
  readonly lookingOnly?: string
}

export interface DriverVerdict extends Probe {
  readonly name: string
  readonly priority: number
  /** Already holds layers in this root. */
  readonly hasState: boolean
  /** The one that is used, or would be. */
  readonly selected: boolean
}

/** What a reference on the command line may point at. */
export type Target =
  | { readonly kind: 'layer'; readonly layer: LayerInfo }
  | { readonly kind: 'image'; readonly image: ImageInfo }

/**
 * The store. Every method may be called while other processes use the same root. Long ones take a signal and report
 * progress; on abort they throw CANCELLED and leave nothing half-made. Errors are VarveErrors.
 */
export interface Store {
  readonly root: string
  readonly driverName: string

  // images
  /** `source`: a file, a folder (OCI layout) or `-` (standard input), recognised by content; every image in it. */
  importImage(source: string, options?: ImportOptions): Promise<readonly ImportedImage[]>
  exportImage(
    image: string,
    file: string,
    options?: LongOptions & { readonly format?: ArchiveFormat; readonly compress?: Compression },
  ): Promise<void>
  images(): readonly ImageInfo[]
  image(reference: string): ImageInfo
  /** The image's config, the bytes as imported. */
  imageConfig(reference: string): Buffer
  tag(image: string, name: string): void
  /** Removes a name, or an image or a layer by id; returns what was removed. FAILED_PRECONDITION says who uses it. */
  remove(reference: string, options?: { readonly force?: boolean }): Promise<readonly string[]>
  /** Removes committed layers that no image, child or name needs, and images without a name where `all`. */
  prune(options?: LongOptions & { readonly all?: boolean }): Promise<{
    readonly layers: readonly LayerId[]
    readonly images: readonly Digest[]
    readonly bytes: number
  }>

  // layers
  /** A bare layer tar, plain or compressed, from a file or `-`. `existed`: the store had the same layer already. */
  importLayer(
    source: string,
    options?: LongOptions & LayerLimits & { readonly parent?: string; readonly diffId?: Digest },
  ): Promise<{
    readonly id: LayerId
    readonly chainId: ChainId
    readonly diffId: Digest
    readonly existed: boolean
  }>
  /** The layer's tar, verified as it leaves: the last chunk is held back until the digest is right. */
  exportLayer(layer: string, options?: LongOptions): AsyncIterable<Uint8Array>
  layers(): readonly LayerInfo[]
  layer(reference: string): LayerInfo
  /** LAYER (chain or diff id, unique prefix, `IMAGE#N` from 0 at the base), writable layer's id, or IMAGE. */
  resolve(reference: string): Target

  // looking in
  /** Own content of a layer (whiteouts shown), or the merged view; sorted by path. `path` limits it to a subtree. */
  list(
    target: string,
    options?: LongOptions & {
      readonly path?: string
      readonly recursive?: boolean
      readonly merged?: boolean
    },
  ): AsyncIterable<FileInfo>
  /** A regular file's bytes out of the merged view (symlinks followed inside it). */
  read(target: string, path: string, options?: LongOptions): AsyncIterable<Uint8Array>
  /** The changes from `a` to `b`. Where `a` is undefined, a layer is compared with its parent, an image with nothing. */
  diff(a: string | undefined, b: string, options?: LongOptions): AsyncIterable<DetailedChange>
  /** The same as a layer tar with OCI whiteouts. */
  diffTar(a: string | undefined, b: string, options?: LongOptions): AsyncIterable<Uint8Array>

  // writable layers
  create(options?: {
    readonly id?: string
    readonly parent?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly options?: ReadonlyMap<string, string>
  }): Promise<LayerInfo>
  /**
   * Mounts a writable layer, or read-only a committed layer or an image, at `target` or at the store's own path. Counts.
   * @throws VarveError FAILED_PRECONDITION for an engine's writable layer, if it is a snapshot or there is no `target`
   */
  mount(reference: string, target?: string): Promise<{ readonly path: string }>
  unmount(reference: string, target?: string): Promise<void>
  /**
   * The mounts as data, to be performed by the caller. A layer that has to be activated stays active until it is removed here
   * or the store is closed.
   */
  mounts(reference: string): Promise<readonly Mount[]>
  /**
   * Seals a writable layer into a committed one with a diff id; with `name` makes an image of it.
   * @throws VarveError FAILED_PRECONDITION for an engine's layer, which the engine must find as it left it
   */
  commit(
    reference: string,
    options?: LongOptions & { readonly name?: string },
  ): Promise<{ readonly layer: LayerInfo; readonly image: ImageInfo | undefined }>
  usage(reference: string): Promise<Usage>

  /** The same layers as a snapshotter sees them. */
  readonly snapshots: Snapshots
  /** The same layers as a graph driver sees them. */
  readonly graphDriver: GraphDriver
  /** Short texts that a service keeps in the store. */
  readonly settings: {
    get(key: string): string | undefined
    set(key: string, value: string): void
  }

  // the store itself
  info(): Promise<StoreInfo>
  drivers(): Promise<readonly DriverVerdict[]>
  check(options?: CheckOptions): AsyncIterable<Finding>
  /**
   * Examines every byte of the layers that `from` has, and heals the damaged ones from it, in place, even while they are
   * mounted. Everything from there is verified by digest before anything changes. Yields each layer when it is done.
   * @throws VarveError NOT_FOUND (nothing of this store in it), INVALID_ARGUMENT (no source), CORRUPT, CANCELLED
   */
  repair(options: RepairOptions): AsyncIterable<RepairedLayer>
  close(): Promise<void>
}
