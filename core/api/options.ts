/** The options of the store's calls (core/api/store.ts): all data, all readonly. */
import type { DriverModule } from '../driver.js'

export interface StoreOptions {
  /** The data root; made 0700 where it is missing (its parent must exist). */
  readonly root: string
  /** The available backends (`drivers/all.ts`). */
  readonly drivers: readonly DriverModule[]
  /** A backend by name; else the one the root was made with; else by priority and probe. */
  readonly driver?: string | undefined
  /** `KEY=VALUE` or `NAME.KEY=VALUE`. */
  readonly storageOptions?: readonly string[]
  /**
   * The engine that owns the layers of `Store.graphDriver`: their label `varve.engine`, which `varve layers` shows and which
   * protects them from an admin's `rm`. `varve serve docker` says `docker`; default `library`.
   */
  readonly engine?: string
  /** Warnings an admin should see; default: none. */
  readonly warn?: (message: string) => void
}

/** Reported by long work, every few megabytes or more often; a display must limit the rate itself. */
export interface Progress {
  /** `import`, `export`, `check`, `diff` … with what it works on: "layer 2/5 sha256:1a2b…". */
  readonly step: string
  readonly done: number
  /** Undefined where it is not known. */
  readonly total: number | undefined
  readonly unit: 'bytes' | 'layers' | 'files'
}

export interface LongOptions {
  readonly signal?: AbortSignal
  readonly progress?: (progress: Progress) => void
}

export interface ImportOptions extends LongOptions, LayerLimits {
  /** Name (`name[:tag]`) for the image; only where the source holds one image. */
  readonly name?: string
  /** `os/arch[/variant]`; default: this machine's. */
  readonly platform?: string
}

export type ArchiveFormat = 'docker-archive' | 'oci-archive' | 'oci-layout'
export type Compression = 'none' | 'gzip' | 'zstd'

export interface CheckOptions extends LongOptions {
  /** Only these layers, and all layers of these images, without the checks of the store as a whole; default: everything. */
  readonly layers?: readonly string[]
  /** Read and verify every stored byte. */
  readonly data?: boolean
  readonly repair?: boolean
}

export interface RepairOptions extends LongOptions {
  /** An archive or layout of images, a layer's tar, the root of another store; `-` is standard input. */
  readonly from: string
  /** Only these layers or images, and the layers below them; default: what the source holds or is known to be damaged. */
  readonly layers?: readonly string[]
  /** Changes nothing: only says what is damaged. */
  readonly dryRun?: boolean
}

/** Limits on the size of one layer. */
export interface LayerLimits {
  /** Bytes, both of the layer's plain tar and of all its files, holes included. Default 256 GiB. */
  readonly maxSize?: number | undefined
  /** Entries, including the directories that their paths imply. Default ten million. */
  readonly maxEntries?: number | undefined
}
