/**
 * A byte stream between threads: a ring of slots in shared memory, with one producer and one consumer. The handles are plain
 * data, so they may be posted to a worker. The bytes are copied at most once, into a slot; the consumer reads them there.
 *
 * The synchronous ends block their thread (for workers); the asynchronous ends are for the main thread. A failure on any
 * side ends all sides: the owner of the failed side has the error, the others get CANCELLED.
 *
 * The memory is reused (recycle): V8 does not count shared memory, so in a service that works on one layer after the other
 * it would pile up until other garbage is collected. Each use has a number, which is in every handle: a handle of an
 * earlier use finds its stream broken, and can't break a later one.
 */
import { VarveError } from '../errors.js'

/** The consumer's end, as data. */
export interface ByteChannel {
  readonly memory: SharedArrayBuffer
  readonly use: number
}

/** The producer's end, as data. */
export interface ByteSink {
  readonly memory: SharedArrayBuffer
  readonly use: number
}

export interface Producer {
  /** A free slot to fill (its whole length may be used); blocks. @throws VarveError CANCELLED when the consumer gave up */
  acquire(): Uint8Array
  /** Like acquire, without blocking the thread. */
  acquireAsync(): Promise<Uint8Array>
  /** Publishes the first `length` bytes of the slot acquired last. */
  commit(length: number): void
  end(): void
  /** Ends the stream as broken; the consumer gets CANCELLED. Idempotent, also after `end`. */
  fail(): void
}

export interface Consumer {
  /** The next bytes, valid until the next call; undefined at the end. Blocks. @throws VarveError CANCELLED */
  read(): Uint8Array | undefined
  readAsync(): Promise<Uint8Array | undefined>
  /** Gives up: the producer's next acquire throws. Idempotent. */
  cancel(): void
}

const HEAD = 0
/** The number of the use times STATES, plus OPEN, ENDED or BROKEN. */
const STATE = 1
const SLOTS = 2
const SLOT_SIZE = 3
/** Bumped at every event; what everybody waits on. */
const EVENT = 4
const TAIL = 5
const LENGTHS = 6

const OPEN = 0
const ENDED = 1
const BROKEN = 2
const STATES = 4
/** After so many uses the memory is not used again: their number must fit into STATE. */
const MOST_USES = 2 ** 28

/** Memory that is free for the next channel: as much as a few layers at work need. */
const MOST_FREE = 4
const free: SharedArrayBuffer[] = []

export interface ChannelOptions {
  readonly slots?: number
  /** Bytes. */
  readonly slotSize?: number
}

/** Makes a channel: its two ends. Memory is slots × slotSize (default 16 × 256 KiB). */
export function createChannel(options: ChannelOptions = {}): {
  readonly sink: ByteSink
  readonly channel: ByteChannel
} {
  const { slots = 16, slotSize = 256 * 1024 } = options
  const size = dataOffset(slots) + slots * slotSize
  const found = free.findIndex(({ byteLength }) => byteLength === size)
  const memory = free.splice(found, found < 0 ? 0 : 1)[0] ?? new SharedArrayBuffer(size)
  const control = new Int32Array(memory, 0, LENGTHS + slots)
  const use = Math.floor((control[STATE] ?? 0) / STATES) + 1
  for (let index = HEAD; index < control.length; index++) if (index !== EVENT) control[index] = 0
  control[SLOTS] = slots
  control[SLOT_SIZE] = slotSize
  Atomics.store(control, STATE, use * STATES + OPEN)
  return { sink: { memory, use }, channel: { memory, use } }
}

/** Gives back a channel's memory when its producer and its consumer are done, well or not, and use their views no more. */
export function recycle({ memory, use }: ByteSink): void {
  const control = new Int32Array(memory, 0, LENGTHS)
  const state = Atomics.load(control, STATE)
  if (Math.floor(state / STATES) !== use || use >= MOST_USES || free.includes(memory)) return
  // Whoever still waits on the channel finds it broken.
  Atomics.store(control, STATE, use * STATES + BROKEN)
  Atomics.add(control, EVENT, 1)
  Atomics.notify(control, EVENT)
  if (free.length < MOST_FREE) free.push(memory)
}

export function openProducer(sink: ByteSink): Producer {
  const ring = openRing(sink)
  const { control, slots } = ring
  let acquired = -1
  const tryAcquire = (): Uint8Array | undefined => {
    if (ring.state() !== OPEN) throw cancelled('the reader of the stream gave up')
    const head = Atomics.load(control, HEAD)
    if (head - Atomics.load(control, TAIL) >= slots) return undefined
    acquired = head % slots
    return ring.slot(acquired)
  }
  return {
    acquire: () => ring.wait(tryAcquire),
    acquireAsync: () => ring.waitAsync(tryAcquire),
    commit(length) {
      if (length === 0) return
      control[LENGTHS + acquired] = length
      Atomics.add(control, HEAD, 1)
      ring.signal()
    },
    end: () => ring.finish(ENDED),
    fail: () => ring.finish(BROKEN),
  }
}

export function openConsumer(channel: ByteChannel): Consumer {
  const ring = openRing(channel)
  const { control, slots } = ring
  let holding = false
  const release = () => {
    if (!holding) return
    holding = false
    Atomics.add(control, TAIL, 1)
    ring.signal()
  }
  const END = new Uint8Array(0)
  const tryRead = (): Uint8Array | undefined => {
    const state = ring.state()
    if (state === BROKEN) throw cancelled('the other side of the stream failed')
    const tail = Atomics.load(control, TAIL)
    if (tail === Atomics.load(control, HEAD)) return state === ENDED ? END : undefined
    holding = true
    const index = tail % slots
    return ring.slot(index).subarray(0, control[LENGTHS + index])
  }
  return {
    read() {
      release()
      const bytes = ring.wait(tryRead)
      return bytes === END ? undefined : bytes
    },
    async readAsync() {
      release()
      const bytes = await ring.waitAsync(tryRead)
      return bytes === END ? undefined : bytes
    },
    cancel: () => ring.finish(BROKEN),
  }
}

/**
 * Feeds an async iterable into a channel from this thread and ends it; the iterable's error is rethrown. A slot is handed
 * on when it is full: waking a thread costs more than copying a few chunks. A chunk is copied before the next one is asked
 * for, so the source may reuse its memory.
 */
export async function pump(source: AsyncIterable<Uint8Array>, sink: ByteSink): Promise<void> {
  const producer = openProducer(sink)
  let slot: Uint8Array | undefined
  let filled = 0
  const handOn = () => {
    producer.commit(filled)
    slot = undefined
    filled = 0
  }
  try {
    for await (const chunk of source) {
      for (let at = 0; at < chunk.length; ) {
        slot ??= await producer.acquireAsync()
        const part = chunk.subarray(at, at + slot.length - filled)
        slot.set(part, filled)
        at += part.length
        filled += part.length
        if (filled === slot.length) handOn()
      }
    }
    handOn()
    producer.end()
  } catch (error) {
    producer.fail()
    throw error
  }
}

/** Reads a channel from this thread. A chunk is valid until the next one is asked for; leaving early cancels. */
export async function* drain(channel: ByteChannel): AsyncGenerator<Uint8Array, void> {
  const consumer = openConsumer(channel)
  let done = false
  try {
    for (;;) {
      const chunk = await consumer.readAsync()
      if (chunk === undefined) {
        done = true
        return
      }
      yield chunk
    }
  } finally {
    if (!done) consumer.cancel()
  }
}

function openRing({ memory, use }: ByteSink) {
  const header = new Int32Array(memory, 0, LENGTHS)
  const slots = header[SLOTS] ?? 0
  const slotSize = header[SLOT_SIZE] ?? 0
  const control = new Int32Array(memory, 0, LENGTHS + slots)
  const data = dataOffset(slots)
  const views = Array.from({ length: slots }, (_, i) => new Uint8Array(memory, data + i * slotSize, slotSize))
  const signal = () => {
    Atomics.add(control, EVENT, 1)
    Atomics.notify(control, EVENT)
  }
  return {
    control,
    slots,
    signal,
    slot(index: number): Uint8Array {
      const view = views[index]
      if (view === undefined) throw new RangeError(`no slot ${index}`)
      return view
    },
    /** Of this use: BROKEN if the memory is in another one. */
    state(): number {
      const state = Atomics.load(control, STATE) - use * STATES
      return state === OPEN || state === ENDED ? state : BROKEN
    },
    /** A broken stream stays broken; an ended one may still break, which tells a consumer not to trust its end. */
    finish(state: typeof ENDED | typeof BROKEN): void {
      const own = use * STATES
      if (state === BROKEN) Atomics.compareExchange(control, STATE, own + ENDED, own + BROKEN)
      Atomics.compareExchange(control, STATE, own + OPEN, own + state)
      signal()
    },
    wait<T>(attempt: () => T | undefined): T {
      for (;;) {
        const event = Atomics.load(control, EVENT)
        const result = attempt()
        if (result !== undefined) return result
        Atomics.wait(control, EVENT, event)
      }
    },
    async waitAsync<T>(attempt: () => T | undefined): Promise<T> {
      for (;;) {
        const event = Atomics.load(control, EVENT)
        const result = attempt()
        if (result !== undefined) return result
        const { value } = Atomics.waitAsync(control, EVENT, event)
        // A pending waitAsync does not keep Node's event loop alive; the timer does.
        const alive = setInterval(() => {}, 1 << 30)
        await value
        clearInterval(alive)
      }
    },
  }
}

function dataOffset(slots: number): number {
  return Math.ceil(((LENGTHS + slots) * 4) / 4096) * 4096
}

function cancelled(message: string): VarveError {
  return new VarveError('CANCELLED', message)
}
