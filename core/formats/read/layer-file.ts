/** A layer for export, with its size and digest known before its first byte is written. */
import { createHash } from 'node:crypto'
import type { Compression } from '../../api/options.js'
import { blobBytes } from '../../compress/blob.js'
import { compress } from '../../compress/compress.js'
import { type Digest, digestOf } from '../../ids.js'
import type { ExportLayer } from './image.js'
import { spool } from './spool.js'

export interface LayerOptions {
  readonly compress: Compression
  /** A byte string. */
  readonly scratch: string
  readonly signal?: AbortSignal | undefined
}

export interface LayerFile {
  /** Of the bytes as they are written. */
  readonly digest: Digest
  readonly size: number
  bytes(): AsyncIterable<Uint8Array>
}

/** Of a plain layer both are known. A compressed one is spooled to scratch, for as long as `use` takes. */
export async function withLayerFile<T>(
  layer: ExportLayer,
  options: LayerOptions,
  use: (file: LayerFile) => Promise<T>,
): Promise<T> {
  const { compress: format, scratch, signal } = options
  if (format === 'none') return use({ digest: layer.diffId, size: layer.size, bytes: () => layer.open() })
  const hash = createHash('sha256')
  const packed = tap(compress(layer.open(), format, { signal }), (chunk) => hash.update(chunk))
  const { blob, close } = await spool(packed, `layer ${layer.diffId}`, { scratch, signal })
  try {
    return await use({
      digest: digestOf(hash.digest()),
      size: blob.size,
      bytes: () => blobBytes(blob, { signal }),
    })
  } finally {
    close()
  }
}

async function* tap(
  bytes: AsyncIterable<Uint8Array>,
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of bytes) {
    see(chunk)
    yield chunk
  }
}
