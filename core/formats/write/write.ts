/** Writes an image as an archive or a folder. The same image gives the same bytes every time. */

import type { ArchiveFormat, Compression, Progress } from '../../api/options.js'
import { VarveError } from '../../errors.js'
import { failure } from '../../sys/failure.js'
import type { ExportImage, ExportLayer } from '../read/image.js'
import { writeDockerArchive } from './docker-archive.js'
import { writeOci } from './oci.js'
import { toFolder, toStandardOutput, toStream, writeToFile } from './output.js'
import type { Output } from './writer-output.js'

export interface WriteOptions {
  readonly format: ArchiveFormat
  /** Of the layers. docker-archive knows no zstd. */
  readonly compress: Compression
  /** An existing 0700 directory for compressed layers, one at a time; nothing stays in it. A byte string. */
  readonly scratch: string
  /** What `-` writes to; default: this process's standard output. */
  readonly stdout?: NodeJS.WritableStream | undefined
  readonly signal?: AbortSignal | undefined
  readonly progress?: ((progress: Progress) => void) | undefined
}

/**
 * `out`: a file (replaced in one step once all is written and durable), `-`, or for oci-layout a folder that does not exist
 * or is empty. After a failure nothing is left of it.
 * @throws VarveError INVALID_ARGUMENT, ALREADY_EXISTS, RESOURCE_EXHAUSTED, CANCELLED; what a layer's `open()` throws
 */
export async function writeImage(out: string, image: ExportImage, options: WriteOptions): Promise<void> {
  const { format, compress, stdout } = options
  if (format === 'docker-archive' && compress === 'zstd') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'export: docker-archive can not hold zstd layers (docker load before 23 fails on them): use none or gzip, or an OCI format',
    )
  }
  const watched = { ...image, layers: watch(image.layers, options) }
  const write = (output: Output) =>
    format === 'docker-archive'
      ? writeDockerArchive(output, watched, options)
      : writeOci(output, watched, options)
  try {
    if (format === 'oci-layout') return await toFolder(out, write)
    if (out !== '-') await writeToFile(out, write)
    else if (stdout === undefined) await toStandardOutput(write, options.signal)
    else await toStream(stdout, write)
  } catch (error) {
    throw failure(error, `export to ${out}`)
  }
}

const REPORT_MS = 150

/** The same layers, with streams that check signal and size and report progress. */
function watch(layers: readonly ExportLayer[], { signal, progress }: WriteOptions): readonly ExportLayer[] {
  const sizes = new Map(layers.map((layer) => [layer.diffId, layer.size]))
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  let done = 0
  let last = 0
  const report = (force: boolean) => {
    const now = performance.now()
    if (!force && now - last < REPORT_MS) return
    last = now
    progress?.({ step: 'export', done, total, unit: 'bytes' })
  }
  return layers.map((layer) => ({
    ...layer,
    async *open() {
      let size = 0
      for await (const chunk of layer.open()) {
        if (signal?.aborted) throw new VarveError('CANCELLED', 'export: interrupted')
        size += chunk.length
        if (size > layer.size) throw wrongSize(layer, size)
        yield chunk
        done += chunk.length
        report(false)
      }
      if (size !== layer.size) throw wrongSize(layer, size)
      report(true)
    },
  }))
}

/** An export of such a layer would be a blob that nobody can read. */
function wrongSize({ diffId, size }: ExportLayer, got: number): VarveError {
  return new VarveError(
    'CORRUPT',
    `export: layer ${diffId}: ${got} bytes or more came where ${size} were recorded`,
  )
}
