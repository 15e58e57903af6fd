/**
 * The store as a snapshotter: containerd's words and rules (its core/snapshots) over the same graph of layers.
 *
 * - A **snapshot** is a layer under a name. An *active* one is written through its mounts under a *key*; `commit` ends the
 *   key and gives the content a *name*, by which it is a parent from then on. A *view* is a look at a committed one, under a
 *   key of its own. Keys and names share one name space.
 * - **Names** are text of any characters but NUL, 1 to 4,096 bytes of UTF-8; engines use spaces and slashes in them.
 * - A layer may also have other names (`varve create --id`), belong to images, and have several snapshot names. As a parent
 *   it is reported under the first of these in order. Labels and times belong to the layer: every name shows the same.
 * - **Mounts** are data; the caller performs them. They are the backend's own, even without a parent (drivers/README.md).
 */
import type { Mount, Usage } from '../driver.js'
import type { LayerId } from '../ids.js'

/** Whose the snapshots are, in messages and lists: only this engine is served by {@link Snapshots}. */
export const SNAPSHOT_ENGINE = 'containerd'

export type NodeKind = 'committed' | 'active' | 'view'

export type Labels = Readonly<Record<string, string>>

export interface SnapshotInfo {
  /** The key of an active one or a view, the name of a committed one. */
  readonly name: string
  /** Name of the snapshot that it is based on. */
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
  /** A key and its value together have at most 4,096 bytes. */
  readonly labels?: Labels
}

/** Every method throws VarveErrors: INVALID_ARGUMENT for an illegal name or label, NOT_FOUND for an unknown name. */
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
   * Turns the active snapshot `key` into the committed snapshot `name`, created now, with only these labels. The usage is
   * measured once and kept. Nobody may write through the mounts any more.
   * @throws VarveError ALREADY_EXISTS (the name), FAILED_PRECONDITION (not active, or mounted by the store)
   */
  commit(name: string, key: string, options?: { readonly labels?: Labels }): Promise<void>
  /**
   * Removes a snapshot of any kind. Its layer stays where it has another name, belongs to an image, or was imported or
   * committed by `Store` (`prune` removes such a layer).
   * @throws VarveError FAILED_PRECONDITION where another snapshot is based on it, or something else uses it
   */
  remove(key: string): Promise<void>
  stat(key: string): SnapshotInfo
  /**
   * Changes the labels of the snapshot `info.name`. `mask` lists `labels` (replaces all of them) or `labels.KEY` (changes
   * one label; a missing or empty value deletes it). An empty or absent mask means `labels`.
   * @throws VarveError INVALID_ARGUMENT (another path)
   */
  update(info: { readonly name: string; readonly labels?: Labels }, mask?: readonly string[]): SnapshotInfo
  /**
   * The snapshots that match at least one of the filters (containerd's syntax, core/engines/filter/filter.ts), in order of
   * their names; without filters all of them. No lock is held: the caller may change the store meanwhile, and a snapshot
   * that is removed before its turn is skipped.
   * @throws VarveError INVALID_ARGUMENT (a malformed filter), at once
   */
  walk(filters?: readonly string[]): Iterable<SnapshotInfo>
  /** Disk usage of the snapshot alone, without its parents: measured now if it is active, 0 for a view. */
  usage(key: string): Promise<Usage>
  /** The committed layer with this chain id (in full), if there is one; only layers with a recorded tar have a chain id. */
  layerOf(chainId: string): LayerId | undefined
  /**
   * Makes an existing layer (an imported one, by its chain id, say) the committed snapshot `name` on `parent`, and adds
   * these labels to its own. A layer that already has a snapshot name keeps that one, which is returned.
   * @throws VarveError ALREADY_EXISTS (the name is another's), FAILED_PRECONDITION (not committed, or not on `parent`)
   */
  adopt(layer: string, name: string, options?: SnapshotOptions): SnapshotInfo
  /** Finishes or undoes what processes left behind that died or failed to remove something, as opening the store does. */
  cleanup(): Promise<void>
}
