/** Readers of every speed for a command's output to a pipe or a socket. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { close, read } from 'node:fs'
import type { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { bytesWaiting, makePipe, setNonblocking, setPipeSize } from '../support/libc.js'
import { CLI } from '../support/varve.js'

export interface Heard {
  /** Exit status, or the name of the signal that ended it. */
  readonly status: number | string
  readonly bytes: Buffer
  /** The output of the other stream. */
  readonly rest: string
}

/** How the bytes are read. */
export interface Reader {
  readonly title: string
  /** The pipe's capacity in bytes; undefined: a socket. */
  readonly pipe?: number
  /** Bytes for each read. */
  readonly piece: number
  /** Reads only when the pipe is full or the command has ended, so that as much as possible is unread when it ends. */
  readonly late?: boolean
  /** Another process with the pipe has set it to O_NONBLOCK. */
  readonly nonblocking?: boolean
}

export const READERS: readonly Reader[] = [
  { title: 'a quick reader', pipe: 65_536, piece: 1_048_576 },
  { title: 'a reader of small pieces', pipe: 65_536, piece: 1000 },
  { title: 'a late reader of a small pipe', pipe: 4096, piece: 4096, late: true },
  { title: 'a late reader', pipe: 65_536, piece: 30_000, late: true },
  { title: 'a late reader of a large pipe', pipe: 1_048_576, piece: 1_048_576, late: true },
  {
    title: 'a late reader of a pipe set to O_NONBLOCK',
    pipe: 4096,
    piece: 5000,
    late: true,
    nonblocking: true,
  },
  { title: 'a socket', piece: 1000 },
]

export interface Listening {
  readonly root: string
  /** The stream to read this way; default: standard output. */
  readonly what?: 'stdout' | 'stderr'
}

/** Runs `varve WORDS` with `reader` at the other end. */
export async function hear(words: readonly string[], reader: Reader, options: Listening): Promise<Heard> {
  const { root, what = 'stdout' } = options
  const pipe = reader.pipe === undefined ? undefined : makePipe()
  if (pipe !== undefined) setPipeSize(pipe.write, reader.pipe ?? 0)
  if (pipe !== undefined && reader.nonblocking) setNonblocking(pipe.write)
  const heard = pipe?.write ?? 'pipe'
  const stdio: StdioOptions = what === 'stdout' ? ['ignore', heard, 'pipe'] : ['ignore', 'pipe', heard]
  const child: ChildProcess = spawn(process.execPath, [CLI, ...words], {
    stdio,
    env: { ...process.env, VARVE_ROOT: root, VARVE_DRIVER: 'vfs' },
  })
  const ended = endOf(child)
  const other = text((what === 'stdout' ? child.stderr : child.stdout) as Readable)
  if (pipe === undefined) {
    const bytes = await pieces((what === 'stdout' ? child.stdout : child.stderr) as Readable, reader.piece)
    return { status: await ended, bytes, rest: await other }
  }
  await closing(pipe.write)
  try {
    const bytes = await fromPipe(pipe.read, reader, ended)
    return { status: await ended, bytes, rest: await other }
  } finally {
    await closing(pipe.read)
  }
}

async function fromPipe(
  fd: number,
  { pipe = 0, piece, late }: Reader,
  ended: Promise<unknown>,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  for (;;) {
    // A pipe counts whole pages: a partly filled page takes no more of a write of a page or more.
    while (late && !isOver && bytesWaiting(fd) <= pipe - 4096) await wait(2)
    const { bytesRead, buffer } = await reading(fd, Buffer.alloc(piece), 0, piece, null)
    if (bytesRead === 0) return Buffer.concat(chunks)
    chunks.push(buffer.subarray(0, bytesRead))
  }
}

async function pieces(stream: Readable, size: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('readable', () => {}) // pauses it: nothing is read ahead
  for await (const chunk of stream.iterator()) {
    for (let at = 0; at < chunk.length; at += size) chunks.push(chunk.subarray(at, at + size))
    await wait(1)
  }
  return Buffer.concat(chunks)
}

async function text(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

export function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')))
}

const reading = promisify(read)
const closing = promisify(close)
