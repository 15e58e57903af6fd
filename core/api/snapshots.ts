/**
 * The snapshot face of the store: containerd's words and rules (its core/snapshots) over the same graph of layers.
 *
 * - A **snapshot** is a layer under a name. An *active* one is written through its mounts under a *key*; `commit` ends the
 *   key and gives the content a *name*, by which it is a parent from then on. A *view* is a look at a committed one, under a
 *   key of its own. Keys and names share one name space.
 * - **Names** are text of any characters but NUL, 1 to 4,096 bytes of UTF-8; engines put blanks and slashes in.
 * - A layer may have other names besides (`varve create --id`), belong to images, and be under several snapshot names. As
 *   a parent it is told by the first of these in order. Labels and times are the layer's, the same under each name.
 * - **Mounts** are data; whoever asks performs them. They are the backend's own, also without a parent (drivers/README.md).
 */
import type { Mount, Usage } from '../driver.js'
import type { LayerId } from '../ids.js'

export type NodeKind = 'committed' | 'active' | 'view'

export type Labels = Readonly<Record<string, string>>

export interface SnapshotInfo {
  /** The key of an active one or a view, the name of a committed one. */
  readonly name: string
  /** Name of the snapshot it is on. */
  readonly parent: string | undefined
  readonly kind: NodeKind
  /** Milliseconds since 1970, with fractions. A commit counts as creation. */
  readonly created: number
  readonly updated: number
  readonly labels: Labels
}

export interface SnapshotOptions {
  /** Name of a committed snapshot. */
  readonly parent?: string | undefined
  /** A key and its value have 4,096 bytes at most. */
  readonly labels?: Labels
}

/** Everything throws VarveErrors: INVALID_ARGUMENT for an illegal name or label, and NOT_FOUND for a name nobody has. */
export interface Snapshots {
  /**
   * A new active snapshot; its mounts.
   * @throws VarveError ALREADY_EXISTS (the key), NOT_FOUND (the parent), INVALID_ARGUMENT (a parent that is not committed)
   */
  prepare(key: string, options?: SnapshotOptions): Promise<readonly Mount[]>
  /** A new view of `parent`, or of nothing; its mounts, read-only. Throws as `prepare` does. */
  view(key: string, options?: SnapshotOptions): Promise<readonly Mount[]>
  /** The mounts of `prepare` or `view` again. @throws VarveError FAILED_PRECONDITION where it is committed */
  mounts(key: string): Promise<readonly Mount[]>
  /**
   * Ends the active snapshot `key`: its content is `name` from now on, created now, with these labels alone. The usage is
   * measured once and kept. Nobody may write through the mounts any more.
   * @throws VarveError ALREADY_EXISTS (the name), FAILED_PRECONDITION (not active, or mounted by the store)
   */
  commit(name: string, key: string, options?: { readonly labels?: Labels }): Promise<void>
  /**
   * Removes a snapshot of any kind. Its layer stays where it has another snapshot name, belongs to an image, or was
   * imported or committed by `Store` (`prune` takes that).
   * @throws VarveError FAILED_PRECONDITION where another snapshot is on it, or something else uses it
   */
  remove(key: string): Promise<void>
  stat(key: string): SnapshotInfo
  /**
   * Changes labels, all else of `info` is only looked at for the name. `mask`: `labels` (replaces all of them) or
   * `labels.KEY` (that one: a value that is missing or empty takes it away); empty or absent: all that may change.
   * @throws VarveError INVALID_ARGUMENT (another path)
   */
  update(info: { readonly name: string; readonly labels?: Labels }, mask?: readonly string[]): SnapshotInfo
  /**
   * Those that one of the filters takes (containerd's syntax, core/engines/filter/filter.ts; none: all), in order of their names. Nothing is
   * held meanwhile: whoever walks may change the store, and what goes before its turn is not told.
   * @throws VarveError INVALID_ARGUMENT (a malformed filter), at once
   */
  walk(filters?: readonly string[]): Iterable<SnapshotInfo>
  /** What the snapshot alone takes, without its parents: measured now where it is active, 0 for a view. */
  usage(key: string): Promise<Usage>
  /** The committed layer with this chain id in full, where there is one: it was a tar, and its digest was verified. */
  layerOf(chainId: string): LayerId | undefined
  /**
   * Makes a layer that is here already (an imported one, by its chain id, say) known as a committed snapshot on `parent`,
   * with these labels added to what it has. Where it has a snapshot name already that is kept, and told.
   * @throws VarveError ALREADY_EXISTS (the name is another's), FAILED_PRECONDITION (not committed, or not on `parent`)
   */
  adopt(layer: string, name: string, options?: SnapshotOptions): SnapshotInfo
  /** Finishes or undoes what processes left that died, or could not remove; the store does so whenever it is opened, too. */
  cleanup(): Promise<void>
}
