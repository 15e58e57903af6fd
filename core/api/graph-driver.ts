/**
 * The store as a graph driver: layers by raw ids that the engine makes up (docker's words, its plugin protocol).
 *
 * - An **id** is 1 to 255 of A-Z a-z 0-9 _ . - but neither `.` nor `..`: a name of space `id`, as `create --id` gives one.
 * - A layer is made empty, or as a copy of its **parent**, and stays writable until a tar is laid into it or a layer is made
 *   on it: an engine may fill it by writing at the place where it is mounted, and use it as a parent without a word.
 * - A layer that came as a tar is recorded as an imported one is: it has a digest, and is exported byte for byte. Where the
 *   same layer is here already (imported by `varve import`, say) the id becomes a name of that.
 * - An engine that was killed, or got no answer because its service was, has **forgotten** what it had begun and not yet
 *   written down. It will never remove that, which must not be in its way either: it keeps a parent's files, not its id.
 * - Everything may be asked for again: an engine that got no answer does so.
 */
import type { Change } from '../driver.js'
import type { Labels } from './snapshots.js'

export interface RawCreateOptions {
  /** The id of the layer that it is to show; undefined makes an empty one. */
  readonly parent?: string | undefined
  /** Per-layer options of the driver (`size`). */
  readonly options?: ReadonlyMap<string, string>
}

export interface RawOptions {
  readonly signal?: AbortSignal
}

/** Everything throws VarveErrors: INVALID_ARGUMENT for an illegal id, and NOT_FOUND for one that no layer has. */
export interface RawLayers {
  /** A new process of the engine or of its service begins: what was made before may be forgotten. */
  begin(): void
  /**
   * A new writable layer; nothing happens where there is a writable one of that id on that parent, made with the same
   * options. A parent that is still writable is sealed first, what is mounted of it becomes read-only.
   * @throws VarveError ALREADY_EXISTS (another layer has the id, or it was made with other options), NOT_FOUND (the parent),
   * FAILED_PRECONDITION (a file of the parent is open for writing)
   */
  create(id: string, options?: RawCreateOptions): Promise<void>
  /**
   * The id is free, and the layer gone with its mounts, unless something of varve's own uses it (an image, another name): then
   * it is that one's alone, or a layer on it that the engine forgot: then it goes with that. Nothing happens where no layer
   * has the id.
   * @throws VarveError FAILED_PRECONDITION where a layer is on it that was made since the last `begin`
   */
  remove(id: string): Promise<void>
  exists(id: string): boolean
  /** Where it is mounted: writable, or read-only once it is sealed. Each call counts. */
  get(id: string): Promise<string>
  /** Undoes one `get`, the last one unmounts; nothing happens where it is not mounted. */
  put(id: string): Promise<void>
  /**
   * What `id` has and `parent` has not; undefined is the empty tree. Sorted by path; paths are byte strings. Where nothing
   * else is said `parent` may be any layer.
   */
  changes(id: string, parent: string | undefined, options?: RawOptions): AsyncIterable<Change>
  /** The tar of it, the recorded one where there is one. Chunks are reused: copy to keep. */
  diff(id: string, parent: string | undefined, options?: RawOptions): AsyncIterable<Uint8Array>
  /** Bytes of the regular files that were added or modified, each inode once. */
  diffSize(id: string, parent: string | undefined, options?: RawOptions): Promise<number>
  /**
   * Lays the plain tar into a layer that was made and never written, and seals it. Gives the bytes of file content. Where
   * that fails or is cut off, the layer goes: what a second try would bring may be the rest of the first.
   * @throws VarveError FAILED_PRECONDITION (filled or written already, mounted, or on another parent), CORRUPT,
   * INVALID_ARGUMENT, RESOURCE_EXHAUSTED, CANCELLED
   */
  apply(
    id: string,
    tar: AsyncIterable<Uint8Array>,
    options?: RawOptions & { readonly parent?: string | undefined },
  ): Promise<number>
  /** For `inspect`: what the driver says of it, and what the store calls it. */
  metadata(id: string): Promise<Labels>
}
