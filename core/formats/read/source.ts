/** Opens an import source; its content decides what it is. */
import { constants } from 'node:fs'
import { addAbortSignal, Readable } from 'node:stream'
import { fromText } from '../../bytes.js'
import type { Blob } from '../../compress/blob.js'
import { openDecompressed, type Plain } from '../../compress/decompress.js'
import { sniffBlob } from '../../compress/sniff.js'
import { errnoOf, isCode, VarveError } from '../../errors.js'
import { openAsync, readAsync } from '../../sys/async-files.js'
import { failure } from '../../sys/failure.js'
import { close } from '../../sys/files.js'
import { fstat, isBlock, isChar, isDirectory, isFile, stat } from '../../sys/stat.js'
import { BLOCK, classifyBlock, createBlock } from '../../tar/header.js'
import { orAborted } from '../abort.js'
import { type Document, type Files, readDocument } from '../files.js'
import { openArchive } from './archive.js'
import { readDockerImages } from './docker-source.js'
import { hasV1Layers, readV1Images } from './docker-v1-source.js'
import { openFolder } from './folder.js'
import { createFound } from './found.js'
import type { ImageSource, SourceOptions } from './image.js'
import { readOciImages, requireLayoutVersion } from './oci-source.js'
import { parsePlatform } from './platform.js'
import { type Spooled, spool, spoolDecompressed } from './spool.js'
import { passOverUnnamed } from './unnamed.js'

/**
 * `source`: a file (docker-archive or OCI archive; the whole may be gzip or zstd), a folder (OCI layout, or an unpacked
 * docker-archive), or `-`. All documents are read and verified here; layers are only located.
 * @throws VarveError NOT_FOUND (no such file, no such platform), INVALID_ARGUMENT (no image), CORRUPT (cut off, damaged,
 * incomplete), UNIMPLEMENTED (a compression or media type that varve does not read), CANCELLED
 */
export async function openSource(source: string, options: SourceOptions): Promise<ImageSource> {
  const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
  const files = await openFiles(source, options)
  try {
    const { kind, images } = await readImages(files, platform, options)
    let closed = false
    return {
      kind,
      images,
      async close() {
        if (!closed) files.close()
        closed = true
      },
    }
  } catch (error) {
    files.close()
    throw failure(error, `read ${files.label}`)
  }
}

/**
 * A layer's tar for `import --layer`, in any compression, spooled if it is a pipe. What does not begin like a tar is
 * refused here, as by {@link openSource}; damage further on is found when it is read.
 * @throws VarveError NOT_FOUND, INVALID_ARGUMENT (a directory, a device, an empty file, no tar), CORRUPT (damaged
 * compression), UNIMPLEMENTED (a compression that varve does not read), CANCELLED
 */
export async function openArchiveFile(source: string, options: SourceOptions): Promise<Spooled> {
  const file = await openSpooled(source, options)
  try {
    await requireTar(file.blob, options)
    return file
  } catch (error) {
    file.close()
    throw failure(error, `read ${file.blob.label}`)
  }
}

/** A single file as it is; standard input or a pipe, spooled to a file. */
async function openSpooled(source: string, options: SourceOptions): Promise<Spooled> {
  if (source === '-') {
    const stdin = options.stdin ?? process.stdin
    // A pipe may be silent for hours: after an interrupt it must not keep the process alive.
    if (options.signal !== undefined && stdin instanceof Readable) addAbortSignal(options.signal, stdin)
    return refuseEmpty(await spool(stdin, 'standard input', options))
  }
  const fd = await openPath(source, options.signal)
  let isOwn = true
  try {
    const { mode, size } = fstat(fd)
    if (isDirectory(mode))
      throw new VarveError('INVALID_ARGUMENT', `${source}: a directory where a file is wanted`)
    if (!isFile(mode)) return refuseEmpty(await spool(readToEnd(fd), source, options))
    isOwn = false
    return refuseEmpty({ blob: { fd, offset: 0, size, label: source }, close: () => close(fd) })
  } finally {
    if (isOwn) close(fd)
  }
}

const CHUNK = 256 * 1024

async function openFiles(source: string, options: SourceOptions): Promise<Files> {
  if (source !== '-' && isDirectoryPath(source)) return openFolder(source)
  const file = await openSpooled(source, options)
  let plain = file
  try {
    const compression = sniffBlob(file.blob)
    if (compression !== 'none') {
      plain = await spoolDecompressed(file.blob, compression, options)
      file.close()
    }
    return openArchive(plain.blob, plain.close)
  } catch (error) {
    plain.close()
    throw failure(error, `read ${file.blob.label}`)
  }
}

/** Reads all documents that are there (found.ts has the rule). */
async function readImages(
  files: Files,
  platform: string | undefined,
  options: SourceOptions,
): Promise<Pick<ImageSource, 'kind' | 'images'>> {
  const layout = readDocument(files, 'oci-layout')
  const [index, manifest] = heard(
    readDocument(files, 'index.json'),
    readDocument(files, 'manifest.json'),
    options,
  )
  const isV1 = files.find('repositories') !== undefined || hasV1Layers(files)
  const isDocker = manifest !== undefined || isV1
  const isOci = layout !== undefined && index !== undefined
  if (!isOci && !isDocker) throw notAnImage(files, layout !== undefined || index !== undefined)
  const found = createFound(files.label)
  if (layout !== undefined) requireLayoutVersion(layout)
  if (index !== undefined) {
    const absent = isDocker ? found.passOver : raise
    readOciImages(files, index, found, { platform, absent })
  }
  if (manifest !== undefined) readDockerImages(files, manifest, found, platform, options)
  if (isV1) await readV1Images(files, found, platform, options)
  passOverUnnamed(files, found)
  const kind = !isOci ? 'docker-archive' : files.kind === 'folder' ? 'oci-layout' : 'oci-archive'
  return { kind, images: found.finish(options) }
}

/** If one of two documents names nothing at all, as a careless writer leaves it, only the other one counts. */
function heard(
  index: Document | undefined,
  manifest: Document | undefined,
  { notice }: SourceOptions,
): readonly [index: Document | undefined, manifest: Document | undefined] {
  if (index === undefined || manifest === undefined || isBlank(index) === isBlank(manifest))
    return [index, manifest]
  const blank = isBlank(index) ? index : manifest
  notice?.(`${blank.where}: it names nothing; passed over`)
  return blank === index ? [undefined, manifest] : [index, undefined]
}

/** No bytes, or what Go takes for an object without fields. */
function isBlank({ bytes }: Document): boolean {
  return bytes.length < 64 && /^\s*(?:null|\{\s*\})?\s*$/.test(bytes.toString('latin1'))
}

function raise(error: VarveError): never {
  throw error
}

function isDirectoryPath(source: string): boolean {
  return isDirectory(modeOf(source))
}

function modeOf(source: string): number {
  if (source === '') throw new VarveError('INVALID_ARGUMENT', 'a source is empty: name a file, a folder or -')
  try {
    return stat(fromText(source)).mode
  } catch (error) {
    throw openFailure(error, source)
  }
}

async function openPath(source: string, signal: AbortSignal | undefined): Promise<number> {
  const mode = modeOf(source)
  // Many have no end (/dev/zero), and merely opening some has an effect (/dev/watchdog).
  if (isBlock(mode) || isChar(mode))
    throw new VarveError('INVALID_ARGUMENT', `${source}: is a device, not an archive`)
  const opening = openAsync(fromText(source), constants.O_RDONLY)
  try {
    return await orAborted(opening, `open ${source}`, signal)
  } catch (error) {
    // It may still open once nobody waits for it: close it then.
    if (isCode(error, 'CANCELLED')) opening.then(close, () => {})
    throw openFailure(error, source)
  }
}

function openFailure(error: unknown, source: string): VarveError {
  const errno = errnoOf(error)
  if (errno === 'ENOENT' || errno === 'ENOTDIR') {
    return new VarveError('NOT_FOUND', `${source}: no such file or folder`, { cause: error })
  }
  return failure(error, `open ${source}`)
}

async function* readToEnd(fd: number): AsyncGenerator<Uint8Array, void> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  for (let got = await readAsync(fd, buffer, null); got > 0; got = await readAsync(fd, buffer, null)) {
    yield buffer.subarray(0, got)
  }
}

function refuseEmpty(spooled: Spooled): Spooled {
  if (spooled.blob.size > 0) return spooled
  spooled.close()
  throw new VarveError('INVALID_ARGUMENT', `${spooled.blob.label}: it is empty: there is nothing to import`)
}

async function requireTar(blob: Blob, { signal }: SourceOptions): Promise<void> {
  const compression = sniffBlob(blob)
  const plain = openDecompressed(blob, compression, { signal })
  try {
    const block = createBlock()
    const length = await readBlock(plain, block.bytes)
    if (length === BLOCK && classifyBlock(block) !== 'neither') return
    // The cause may be damaged compression, which reading to the end reports.
    if (compression !== 'none') while ((await readAsync(plain.fd, Buffer.alloc(CHUNK), null)) > 0);
    await plain.finished
    const what = compression === 'none' ? 'not a tar archive' : `not a tar archive in its ${compression}`
    const why = length < BLOCK ? `it has only ${length} bytes` : 'its first 512 bytes are no header'
    throw new VarveError('INVALID_ARGUMENT', `${blob.label}: ${what}: ${why}`)
  } finally {
    await plain.close()
  }
}

/** Reads the first block; returns how many bytes there were. */
async function readBlock({ fd, offset, size }: Plain, block: Buffer): Promise<number> {
  const wanted = block.subarray(0, Math.min(BLOCK, size ?? BLOCK))
  let done = 0
  while (done < wanted.length) {
    const got = await readAsync(fd, wanted.subarray(done), offset === undefined ? null : offset + done)
    if (got === 0) break
    done += got
  }
  return done
}

function notAnImage(files: Files, half: boolean): VarveError {
  const wants = 'oci-layout and index.json, or manifest.json, or repositories'
  if (files.kind === 'folder' || half) {
    return new VarveError('INVALID_ARGUMENT', `${files.label}: no image in it: it lacks ${wants}`)
  }
  return new VarveError(
    'INVALID_ARGUMENT',
    `${files.label}: an archive, but not of images (it lacks ${wants}): it looks like a layer tar: use import --layer`,
  )
}
