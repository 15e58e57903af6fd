/** Spools what can't be read twice, or only decompressed, to a file in the scratch directory that nobody else sees. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import type { Progress } from '../../api/options.js'
import { toText } from '../../bytes.js'
import type { Blob } from '../../compress/blob.js'
import { checkGzipEnd, decompressTo } from '../../compress/decompress.js'
import { failure } from '../../sys/failure.js'
import { close, open, unlink, writeAll } from '../../sys/files.js'
import { removeIfThere } from '../../sys/lenient.js'
import { fstat } from '../../sys/stat.js'
import { orAborted } from '../abort.js'
import { createWatch } from './garbage-check.js'

export interface SpoolOptions {
  /** An existing directory; a byte string. */
  readonly scratch: string
  readonly signal?: AbortSignal | undefined
  readonly progress?: ((progress: Progress) => void) | undefined
}

/** A file without a name: gone with its descriptor, whatever happens to the process. */
export interface Spooled {
  readonly blob: Blob
  close(): void
}

/**
 * Writes `bytes` to a file: all of them or, if they can be no archive, the part that shows it.
 * @throws VarveError RESOURCE_EXHAUSTED (disk full), CANCELLED
 */
export async function spool(
  bytes: AsyncIterable<Uint8Array>,
  label: string,
  options: SpoolOptions,
): Promise<Spooled> {
  const { reader, writer } = createSpool(options.scratch)
  const report = reporter(`read ${label}`, undefined, options)
  const isOfUse = createWatch()
  let size = 0
  try {
    for await (const chunk of untilAborted(bytes, label, options.signal)) {
      writeAll(writer, chunk)
      size += chunk.length
      report(size)
      if (!isOfUse(chunk)) break
    }
  } catch (error) {
    close(reader)
    throw failure(error, `spool ${label} in ${toText(options.scratch)}`)
  } finally {
    close(writer)
  }
  return { blob: { fd: reader, offset: 0, size, label }, close: () => close(reader) }
}

/** Decompresses a blob to a file, and verifies that it is complete. */
export async function spoolDecompressed(
  blob: Blob,
  compression: 'gzip' | 'zstd',
  options: SpoolOptions,
): Promise<Spooled> {
  const { reader, writer } = createSpool(options.scratch)
  const report = reporter(`decompress ${blob.label}`, undefined, options)
  let failed: unknown
  const watch = setInterval(() => {
    try {
      report(fstat(reader).size)
    } catch (error) {
      failed ??= error // thrown here, it would end the process
    }
  }, REPORT_MS)
  try {
    await decompressTo(blob, compression, writer, options)
    if (failed !== undefined) throw failed
    const { size } = fstat(reader)
    if (compression === 'gzip') await checkGzipEnd(blob, size, options)
    report(size)
    return { blob: { fd: reader, offset: 0, size, label: blob.label }, close: () => close(reader) }
  } catch (error) {
    close(reader)
    throw failure(error, `decompress ${blob.label} into ${toText(options.scratch)}`)
  } finally {
    clearInterval(watch)
  }
}

/** The same chunks. Ends at once on abort, even if the next chunk never comes (a pipe that nobody writes to). */
async function* untilAborted(
  bytes: AsyncIterable<Uint8Array>,
  label: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  const iterator = bytes[Symbol.asyncIterator]()
  let finished = false
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), `read ${label}`, signal)
      finished = next.done === true
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // Not awaited: it may be what hangs.
    if (!finished) iterator.return?.().catch(() => {})
  }
}

const REPORT_MS = 150

function createSpool(scratch: string): { readonly reader: number; readonly writer: number } {
  const path = `${scratch}/spool-${process.pid}-${randomBytes(8).toString('hex')}`
  const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  try {
    const opened = [open(path, create, 0o600)]
    try {
      opened.push(open(path, constants.O_RDONLY))
      unlink(path)
      const [writer = -1, reader = -1] = opened
      return { reader, writer }
    } catch (error) {
      for (const fd of opened) close(fd)
      removeIfThere(path)
      throw error
    }
  } catch (error) {
    throw failure(error, `make a file in ${toText(scratch)}`)
  }
}

/** At most about seven reports a second. */
function reporter(
  step: string,
  total: number | undefined,
  { progress }: SpoolOptions,
): (done: number) => void {
  let last = 0
  return (done) => {
    const now = performance.now()
    if (now - last < REPORT_MS) return
    last = now
    progress?.({ step, done, total, unit: 'bytes' })
  }
}
