/** libzstd through koffi: both directions as loops over fixed buffers, for a thread of their own. */
import koffi from 'koffi'
import { VarveError } from '../errors.js'

export interface ZstdStream {
  /** Feeds `bytes`; `output` gets every piece that comes out (valid during its call). @throws Error the library's message */
  push(bytes: Uint8Array): void
  /** After the last bytes. @throws Error if a frame is incomplete */
  end(): void
  free(): void
}

export function createZstdDecoder(output: (bytes: Uint8Array) => void): ZstdStream {
  const zstd = load()
  const context = zstd.createDStream()
  const buffers = createBuffers(output)
  let wanted = 0
  return {
    push(bytes) {
      buffers.feed(bytes, (out, input) => {
        wanted = checked(zstd, zstd.decompressStream(context, out, input))
      })
    },
    end() {
      // 0: a frame was completed and nothing of another begun (zstd.h, ZSTD_decompressStream).
      if (wanted !== 0) throw new Error('it ends within a frame')
    },
    free: () => zstd.freeDStream(context),
  }
}

/** Level 3 with a checksum. The same input gives the same bytes, whatever pieces it comes in. */
export function createZstdEncoder(output: (bytes: Uint8Array) => void): ZstdStream {
  const zstd = load()
  const context = zstd.createCCtx()
  checked(zstd, zstd.setParameter(context, CHECKSUM_FLAG, 1))
  const buffers = createBuffers(output)
  return {
    push(bytes) {
      buffers.feed(bytes, (out, input) => {
        checked(zstd, zstd.compressStream2(context, out, input, CONTINUE))
      })
    },
    end() {
      buffers.flush((out, input) => checked(zstd, zstd.compressStream2(context, out, input, END)))
    },
    free: () => zstd.freeCCtx(context),
  }
}

/** zstd.h: ZSTD_c_checksumFlag, ZSTD_e_continue, ZSTD_e_end. */
const CHECKSUM_FLAG = 201
const CONTINUE = 0
const END = 2

const CHUNK = 128 * 1024

type Library = ReturnType<typeof load>
type Pointer = unknown

let loaded: ReturnType<typeof bind> | undefined

function load() {
  loaded ??= bind()
  return loaded
}

function bind() {
  let lib: ReturnType<typeof koffi.load>
  try {
    lib = koffi.load('libzstd.so.1')
  } catch (error) {
    const advice = 'install zstd (or libzstd1), or give the image uncompressed'
    throw new VarveError('UNAVAILABLE', `zstd: neither the command nor libzstd.so.1 is here: ${advice}`, {
      cause: error,
    })
  }
  const stream = ['void *', 'void *', 'void *']
  return {
    createDStream: lib.func('ZSTD_createDStream', 'void *', []) as () => Pointer,
    freeDStream: lib.func('ZSTD_freeDStream', 'size_t', ['void *']) as (context: Pointer) => void,
    decompressStream: lib.func('ZSTD_decompressStream', 'size_t', stream) as (...args: Pointer[]) => number,
    createCCtx: lib.func('ZSTD_createCCtx', 'void *', []) as () => Pointer,
    freeCCtx: lib.func('ZSTD_freeCCtx', 'size_t', ['void *']) as (context: Pointer) => void,
    setParameter: lib.func('ZSTD_CCtx_setParameter', 'size_t', ['void *', 'int', 'int']) as (
      ...args: Pointer[]
    ) => number,
    compressStream2: lib.func('ZSTD_compressStream2', 'size_t', [...stream, 'int']) as (
      ...args: Pointer[]
    ) => number,
    isError: lib.func('ZSTD_isError', 'uint', ['size_t']) as (code: number) => number,
    errorName: lib.func('ZSTD_getErrorName', 'str', ['size_t']) as (code: number) => string,
  }
}

function checked(zstd: Library, code: number): number {
  if (zstd.isError(code) !== 0) throw new Error(zstd.errorName(code))
  return code
}

/** ZSTD_inBuffer and ZSTD_outBuffer: address, size and position, 8 bytes each. */
function createBuffers(output: (bytes: Uint8Array) => void) {
  const source = Buffer.allocUnsafeSlow(CHUNK)
  const target = Buffer.allocUnsafeSlow(CHUNK)
  const input = new BigUint64Array([koffi.address(source), 0n, 0n])
  const out = new BigUint64Array([koffi.address(target), BigInt(CHUNK), 0n])
  const inputBytes = new Uint8Array(input.buffer)
  const outBytes = new Uint8Array(out.buffer)
  const call = (work: (out: Uint8Array, input: Uint8Array) => number | undefined) => {
    out[2] = 0n
    const left = work(outBytes, inputBytes)
    const length = Number(out[2])
    if (length > 0) output(target.subarray(0, length))
    return { left, full: length === CHUNK }
  }
  return {
    feed(bytes: Uint8Array, work: (out: Uint8Array, input: Uint8Array) => undefined) {
      for (let at = 0; at < bytes.length; at += CHUNK) {
        const piece = bytes.subarray(at, at + CHUNK)
        source.set(piece)
        input[1] = BigInt(piece.length)
        input[2] = 0n
        // Once more if the output was full: more may be waiting inside.
        for (let full = true; full || Number(input[2]) < piece.length; ) full = call(work).full
      }
    },
    /** Until nothing is left inside. */
    flush(work: (out: Uint8Array, input: Uint8Array) => number) {
      input[1] = input[2] = 0n
      while (call(work).left !== 0) {}
    },
  }
}
