/**
 * The tar parser: bytes are pushed in, entries come out, and every byte is passed on exactly once (entry.ts), so that the
 * archive can be put together again. Only headers are copied; memory is bounded whatever the archive says.
 *
 * Where readers disagree, Go's archive/tar decides, because it is what image layers are made for:
 * - Two zero blocks end the archive; whatever follows is `raw`, also further archives. So does one zero block at the
 *   very end, or the end of the bytes after a whole entry, or a last block of zeros that is cut short. A zero block
 *   with something else after it is CORRUPT: entries would be lost silently.
 * - Links, directories, devices and fifos have no payload, whatever their size field says. But pax and cpio do store a
 *   hard link's content, and old tars a directory's, so where no header follows such an entry (Go gives up there) its
 *   size is believed and the bytes are `raw`.
 * - The bytes that belong to no entry are bounded (padding-limit.ts).
 * - GNU long names win over extended headers; a type of NUL with a trailing slash in the name is a directory.
 * Beyond Go:
 * - Global headers set defaults, as POSIX has it, but neither `size` nor `GNU.sparse.*`: what readers take for an entry
 *   must not depend on that.
 * - A plain file's type with a trailing slash in the name is a directory too, as GNU tar and libarchive have it (a path
 *   of a file has no such slash); its payload is skipped.
 * - Unknown types are files, as POSIX, GNU tar and libarchive have it; a volume label is no entry; the dump
 *   directory ('D') of GNU's incremental archives is a directory; a file that continues from another volume is refused.
 */
import { toShortText } from '../bytes.js'
import { VarveError } from '../errors.js'
import type { TarEntry, TarHandler, TarParser } from './entry.js'
import { BLOCK, classifyBlock, createBlock, type Header, padOf, readHeader, requireSize } from './header.js'
import { createStray } from './padding-limit.js'
import { createAssembler, guess, MAX_META } from './read-entry.js'
import { createSparseEntries, type SparseStep } from './sparse-entry.js'

/** A parser for archives whose payload is not at hand, or not wanted. */
export interface SkippingTarParser extends TarParser {
  /** Bytes taken so far, pushed or skipped. While `entry` is called: where the entry's payload begins. */
  offset(): number
  /** True after the end marker: no entry can come any more. */
  ended(): boolean
  /** Payload bytes of the current entry that are still to come. */
  payloadLeft(): number
  /** Goes on as if the next `length` bytes of payload had been pushed. @throws VarveError INVALID_ARGUMENT */
  skipPayload(length: number): void
}

/** States that collect a whole block or body first … */
const HEADER = 0
const AFTER_ZERO = 1
const META = 2
const OLD_GNU_EXTENSION = 3
const SPARSE_MAP = 4
/** … and states that let bytes through. */
const PAYLOAD = 5
const SKIP = 6
const END = 7

/** Directory types whose size field counts bytes that follow: GNU's 'D', and '0' with a trailing slash. */
const BODIED: ReadonlySet<number> = new Set([0x44, 0x30])

export function createTarParser(handler: TarHandler): SkippingTarParser {
  const block = createBlock()
  /** What is being collected, and how much of it is there. */
  let target = block.bytes
  let have = 0
  let want = BLOCK
  let state = HEADER
  let offset = 0
  /** Bytes to come in PAYLOAD and SKIP; how many of those in SKIP are padding, which may be missing at the end. */
  let left = 0
  let padding = 0
  /** Where the header at work begins, and the entry's name as far as it is known: for messages. */
  let headerAt = 0
  let name: string | undefined
  const assembler = createAssembler(fail, (path) => {
    name = path
  })
  let metaType = 0
  /** The size that an entry without payload claims to have. */
  let claimed = 0
  const sparse = createSparseEntries(fail, handler.maps)
  const stray = createStray()
  let failure: unknown

  return {
    push(chunk) {
      if (failure !== undefined) throw failure
      try {
        push(chunk)
      } catch (error) {
        failure = error
        throw error
      }
    },
    end() {
      if (failure !== undefined) throw failure
      end()
      state = END
    },
    offset: () => offset,
    ended: () => state === END,
    payloadLeft: () => (state === PAYLOAD ? left : 0),
    skipPayload(length) {
      if (state !== PAYLOAD || length > left || length < 0) {
        throw new VarveError('INVALID_ARGUMENT', `tar: skip ${length} bytes of payload: ${left} are to come`)
      }
      offset += length
      left -= length
      if (left === 0) endEntry()
    },
  }

  function push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const rest = chunk.length - at
      if (state < PAYLOAD) {
        const length = Math.min(rest, want - have)
        const part = chunk.subarray(at, at + length)
        target.set(part, have)
        have += length
        at += length
        offset += length
        if (state !== SPARSE_MAP && state !== OLD_GNU_EXTENSION) stray.count(part, tooMuch) // bounded by its segments
        handler.raw?.(part)
        if (have === want) {
          have = 0
          collected()
        }
        continue
      }
      const length = state === END ? rest : Math.min(rest, left)
      const part = length === chunk.length ? chunk : chunk.subarray(at, at + length)
      at += length
      offset += length
      left -= length
      if (state === PAYLOAD) {
        handler.payload?.(part)
        if (left === 0) endEntry()
      } else {
        stray.count(part, tooMuch)
        handler.raw?.(part)
        if (left === 0 && state === SKIP) collect(HEADER, block.bytes, BLOCK)
      }
    }
  }

  function tooMuch(what: string): never {
    const after = state === END ? "archive's end mark" : 'last entry'
    throw new VarveError(
      'CORRUPT',
      `tar: at byte ${offset}, more than ${what}, which belong to no entry, follow the ${after}; this is no archive, or it is damaged`,
    )
  }

  function end() {
    switch (state) {
      case END:
        return
      case SKIP:
        if (left <= padding) return atEnd()
        break
      case AFTER_ZERO:
        if (isZero(block.bytes, have)) return
        break
      case HEADER:
        if (offset === 0) fail('not a tar archive: it is empty')
        if (offset < BLOCK) fail(`not a tar archive: it has only ${offset} bytes`)
        if (isZero(block.bytes, have) || (claimed > 0 && have >= claimed)) return atEnd()
        break
    }
    fail(`the archive is cut off at byte ${offset}`)
  }

  function atEnd(): void {
    if (assembler.pending()) {
      fail(`the archive is cut off at byte ${offset}: an extended header has no entry`)
    }
  }

  function collect(next: number, into: Buffer, length: number): void {
    state = next
    target = into
    want = length
    have = 0
  }

  function skip(body: number, pad: number): void {
    left = body + pad
    padding = pad
    if (left === 0) collect(HEADER, block.bytes, BLOCK)
    else state = SKIP
  }

  function collected() {
    switch (state) {
      case HEADER:
        return header()
      case AFTER_ZERO:
        headerAt = offset - BLOCK
        if (classifyBlock(block) !== 'zero')
          fail('a lone block of zeros lies before it: the archive is damaged')
        state = END
        return
      case META:
        return meta()
      case OLD_GNU_EXTENSION:
        return sparseStep(sparse.headerBlock(block.bytes))
      case SPARSE_MAP:
        return sparseStep(sparse.payloadBlock(block.bytes))
    }
  }

  function header() {
    const kind = classifyBlock(block)
    if (kind === 'neither') {
      if (claimed > 0) {
        // This block begins the content of a link or a directory, which has some after all.
        const size = claimed
        claimed = 0
        return skip(Math.max(size - BLOCK, 0), size > BLOCK ? padOf(size) : 0)
      }
      return noHeader()
    }
    claimed = 0
    headerAt = offset - BLOCK
    name = undefined
    if (kind === 'zero') return collect(AFTER_ZERO, block.bytes, BLOCK)
    const found = readHeader(block.bytes, fail)
    switch (found.typeflag) {
      case 0x78: // x
      case 0x58: // X, Sun's
      case 0x67: // g
      case 0x4c: // L
      case 0x4b: // K
        return beginMeta(found)
      case 0x56: // V
        return skip(requireSize(found.size, fail), padOf(found.size))
      case 0x4d: // M
        name = found.path
        return fail('it continues a file of another volume; only whole archives can be read')
      default:
        return entry(found)
    }
  }

  function noHeader(): never {
    headerAt = offset - BLOCK
    if (headerAt === 0) return fail(`not a tar archive: ${guess(block.bytes)}`)
    const after = name === undefined ? '' : ` (the entry before it is "${toShortText(name)}")`
    name = undefined
    return fail(`this block is no header, its checksum is wrong${after}: the archive is damaged`)
  }

  function beginMeta({ typeflag, size, path }: Header) {
    if (size < 0 || size > MAX_META) {
      name = path
      fail(`an extended header or long name of ${size} bytes; the most is ${MAX_META}`)
    }
    metaType = typeflag
    if (size > 0) return collect(META, Buffer.allocUnsafe(size), size)
    have = 0
    target = Buffer.alloc(0)
    meta()
  }

  function meta(): void {
    const body = target
    assembler.meta(metaType, body)
    skip(0, padOf(body.length))
  }

  function entry(found: Header) {
    const { entry: made, size, sparse: told } = assembler.entry(found, block.bytes)
    if (found.typeflag === 0x53) return sparseStep(sparse.oldGnu(made, found, block.bytes))
    if (told) return sparseStep(sparse.pax(made, told) ?? made)
    tell(made)
    if (made.type === 'directory' && BODIED.has(found.typeflag)) skip(size, padOf(size))
    else if (made.type !== 'file') claimed = size
  }

  /** Passes the entry to the handler; its payload, if it has any, comes next. */
  function tell(entry: TarEntry): void {
    stray.reset()
    padding = padOf(entry.stored)
    left = entry.stored
    handler.entry(entry)
    if (left > 0) state = PAYLOAD
    else endEntry()
  }

  function endEntry(): void {
    handler.entryEnd?.()
    skip(0, padding)
  }

  function sparseStep(step: SparseStep): void {
    if (typeof step === 'object') tell(step)
    else collect(step === 'payload' ? SPARSE_MAP : OLD_GNU_EXTENSION, block.bytes, BLOCK)
  }

  function fail(what: string, code: 'CORRUPT' | 'INVALID_ARGUMENT' = 'CORRUPT'): never {
    const where =
      name === undefined
        ? `header at byte ${headerAt}`
        : `entry "${toShortText(name)}", header at byte ${headerAt}`
    throw new VarveError(code, what.startsWith('not a tar') ? what : `tar: ${where}: ${what}`)
  }
}

function isZero(bytes: Buffer, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[i] !== 0) return false
  return true
}
