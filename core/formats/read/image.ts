/** What an import source holds, and what an export is made of. */

import type { Progress } from '../../api/options.js'
import type { Blob } from '../../compress/blob.js'
import type { Digest } from '../../ids.js'

export interface SourceOptions {
  /** An existing 0700 directory for what has to be spooled; nothing stays in it. A byte string. */
  readonly scratch: string
  /** What `-` reads; default: this process's standard input. */
  readonly stdin?: AsyncIterable<Uint8Array> | undefined
  /** `os/arch[/variant]`; default: this machine's, where the source leaves a choice. */
  readonly platform?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly progress?: ((progress: Progress) => void) | undefined
  /** The caller names the images, so an illegal name in the source is no reason to refuse it. */
  readonly named?: boolean | undefined
  /** Whether the layer with the last of these diff ids, on top of the others, is available without the source. */
  readonly has?: ((diffIds: readonly Digest[]) => boolean) | undefined
  /** Called with what is in the source and not imported, and with what is odd about the rest. Default: not reported. */
  readonly notice?: ((message: string) => void) | undefined
}

export interface ImageSource {
  readonly kind: 'docker-archive' | 'oci-archive' | 'oci-layout'
  /** In the source's order; each config once. */
  readonly images: readonly SourceImage[]
  /** Closes the files of its blobs. Idempotent. */
  close(): Promise<void>
}

export interface SourceImage {
  /** Normalised: core/reference.ts. May be empty. */
  readonly names: readonly string[]
  /** Its other names in the source, which are illegal. */
  readonly illegalNames: readonly string[]
  /** The exact bytes. */
  readonly config: Buffer
  readonly configDigest: Digest
  readonly platform: string
  readonly created: string | undefined
  /** From the base up, one for each layer. */
  readonly diffIds: readonly Digest[]
  /** The OCI manifest, the exact bytes; undefined where the source has none. */
  readonly manifest: Buffer | undefined
  readonly layers: readonly SourceLayer[]
}

export interface SourceLayer {
  readonly diffId: Digest
  /**
   * As it is in the source: plain or compressed (core/compress/sniff.ts tells which), not yet verified. Undefined if the
   * source lacks it and {@link SourceOptions.has} said that it is available.
   */
  readonly blob: Blob | undefined
  /** Of the blob, where the source declares one: to be compared with what was read. */
  readonly digest: Digest | undefined
  readonly mediaType: string | undefined
}

export interface ExportImage {
  /** Normalised. */
  readonly names: readonly string[]
  readonly config: Buffer
  readonly configDigest: Digest
  readonly layers: readonly ExportLayer[]
}

export interface ExportLayer {
  readonly diffId: Digest
  /** Bytes of the tar. */
  readonly size: number
  /** The tar; verifies its own digest as it streams. May be called more than once; chunks may be reused. */
  open(): AsyncIterable<Uint8Array>
}
