/** What the calls of the store are given (core/api/store.ts): all data, all readonly. */
import type { DriverModule } from '../driver.js'

export interface StoreOptions {
  /** The data root; made 0700 where it is missing (its parent must exist). */
  readonly root: string
  /** The backends there are (`drivers/all.ts`). */
  readonly drivers: readonly DriverModule[]
  /** A backend by name; else the one the root was made with; else by priority and probe. */
  readonly driver?: string
  /** `KEY=VALUE` or `NAME.KEY=VALUE`. */
  readonly storageOptions?: readonly string[]
  /**
   * Whose layers those of `Store.raw` are: their label `varve.engine`, which `varve layers` shows and keeps them from an
   * admin's `rm`. `varve serve docker` says `docker`; default `library`.
   */
  readonly engine?: string
  /** Warnings an admin should see; default: none. */
  readonly warn?: (message: string) => void
}

/** Reported by long work, often (every few megabytes or less): whoever shows it paces it. `total` is undefined where unknown. */
export interface Progress {
  /** `import`, `export`, `check`, `diff` … with what it works on: "layer 2/5 sha256:1a2b…". */
  readonly step: string
  readonly done: number
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
  /** Only these: layers, or images with all of theirs. What is about the store as a whole is left out; default all of it. */
  readonly layers?: readonly string[]
  /** Read and verify every stored byte. */
  readonly data?: boolean
  readonly repair?: boolean
}

export interface RepairOptions extends LongOptions {
  /** An archive or layout of images, a layer's tar, the root of another store; `-` is standard input. */
  readonly from: string
  /** Only these layers or images, and what is below them; default: all that the source holds. */
  readonly layers?: readonly string[]
  /** Changes nothing: only says what is damaged. */
  readonly dryRun?: boolean
}

/** How much one layer may bring. */
export interface LayerLimits {
  /** Bytes of a layer's plain tar, and of its files with their holes. Default 256 GiB. */
  readonly maxSize?: number | undefined
  /** Entries of a layer, with the directories that their paths imply. Default ten million. */
  readonly maxEntries?: number | undefined
}
