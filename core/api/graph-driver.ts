/**
 * The store as a graph driver: layers under ids that the engine chooses, in the terms of docker's plugin protocol.
 *
 * - An **id** is 1 to 255 of A-Z a-z 0-9 _ . - but neither `.` nor `..`: a name of space `id`, as `create --id` gives one.
 * - A layer is created empty or on a **parent**. It stays writable until a tar is applied to it or a layer is created on it:
 *   an engine may fill it by writing to its mount, and then use it as a parent without further notice.
 * - A layer that came as a tar is recorded like an imported one: it has a digest, and is exported byte for byte. If the
 *   store has the same layer already (from `varve import`, say), the id becomes another name of that one.
 * - An engine that was killed, or got no answer because its service was, has **forgotten** the layers that it had begun and
 *   not yet written down. It will never remove them, and they must not get in its way: such a layer keeps its parent's
 *   files in the store, but does not keep the parent's id from being removed.
 * - Every call may be repeated: an engine that got no answer asks again.
 */
import type { Change } from '../driver.js'
import type { Labels } from './snapshots.js'

export interface LayerCreateOptions {
  /** The id of the parent; undefined makes an empty layer. */
  readonly parent?: string | undefined
  /** Per-layer options of the driver (`size`). */
  readonly options?: ReadonlyMap<string, string>
}

export interface LayerDiffOptions {
  readonly signal?: AbortSignal
}

/** Every method throws VarveErrors: INVALID_ARGUMENT for an illegal id, NOT_FOUND for an id that no layer has. */
export interface GraphDriver {
  /** To be called when the engine or its service starts: the engine may have forgotten layers that were made before. */
  begin(): void
  /**
   * Makes a writable layer. Does nothing where the id already has a writable layer on that parent, made with the same
   * options. A parent that is still writable is sealed first, and its mounts become read-only.
   * @throws VarveError ALREADY_EXISTS (another layer has the id, or it was made with other options), NOT_FOUND (the parent),
   * FAILED_PRECONDITION (a file of the parent is open for writing)
   */
  create(id: string, options?: LayerCreateOptions): Promise<void>
  /**
   * Frees the id, and removes the layer with its mounts. Only the id goes where an image or another name uses the layer
   * too, or where the engine forgot every layer on it; in the latter case it is removed together with the last of those.
   * Does nothing where no layer has the id.
   * @throws VarveError FAILED_PRECONDITION where a layer made since the last `begin` is on it
   */
  remove(id: string): Promise<void>
  exists(id: string): boolean
  /** Mounts the layer, writable or (once it is sealed) read-only, and returns the path. Each call counts. */
  get(id: string): Promise<string>
  /** Undoes one `get`; the last one unmounts. Does nothing where the layer is not mounted. */
  put(id: string): Promise<void>
  /**
   * The changes from `parent` (undefined: the empty tree) to `id`, sorted by path; paths are byte strings. `parent` may be
   * any layer, here and wherever nothing else is said.
   */
  changes(id: string, parent: string | undefined, options?: LayerDiffOptions): AsyncIterable<Change>
  /** The tar of these changes, the recorded one where there is one. Chunks are reused: copy to keep. */
  diff(id: string, parent: string | undefined, options?: LayerDiffOptions): AsyncIterable<Uint8Array>
  /** Bytes of the regular files that were added or modified, each inode once. */
  diffSize(id: string, parent: string | undefined, options?: LayerDiffOptions): Promise<number>
  /**
   * Applies the plain tar to a layer that was made and never written to, and seals it. Returns the bytes of file content. If
   * the tar is bad or cut off, the layer is removed: a second attempt may bring only the rest of the first.
   * @throws VarveError FAILED_PRECONDITION (filled or written already, mounted, or on another parent), CORRUPT,
   * INVALID_ARGUMENT, RESOURCE_EXHAUSTED, CANCELLED
   */
  apply(
    id: string,
    tar: AsyncIterable<Uint8Array>,
    options?: LayerDiffOptions & { readonly parent?: string | undefined },
  ): Promise<number>
  /** For `inspect`: the driver's metadata of the layer, and the store's ids for it. */
  metadata(id: string): Promise<Labels>
}
