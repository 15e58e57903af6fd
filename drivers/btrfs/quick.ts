/**
 * Small differences without a thread: to start one takes longer than the kernel does to compare two trees of 100,000 files.
 * Whatever turns out to be more than a moment's work is given up, and begun anew in threads.
 */

import type { Change } from '../../core/driver.js'
import { pack } from '../../core/pack/pack.js'
import { type PackOptions, packChanges } from '../../core/pack/pack-changes.js'
import { closeEach } from '../../core/sys/close-all.js'
import { close, read } from '../../core/sys/files.js'
import { pipe } from '../../core/sys/pipe.js'
import { isDirectory, isFile, lstatAt } from '../../core/sys/stat.js'
import { openTree, openTrees } from '../../core/tree/confined.js'
import { sendInPool } from './ioctls.js'
import { type Refusal, refusalOf } from './refusal.js'
import { confirm } from './send-changes.js'
import { createReplay } from './send-replay.js'
import { createSendParser } from './send-stream.js'

/** Milliseconds that the main thread may be kept. */
const MOMENT = 20
/** Bytes read or compared in it. */
const FEW_BYTES = 4 << 20
const FEW_CHANGES = 500

/** What nativeChanges (native.ts) tells, if its stream fits in a pipe and there is little to look at; else undefined. */
export async function quickChanges(
  old: string,
  now: string,
  parent: number,
): Promise<readonly Change[] | Refusal | undefined> {
  const [before, after] = openTrees(old, now)
  try {
    const replay = createReplay()
    const parser = createSendParser(replay.command)
    const refusal = await sendShort(after.fd, parent, parser.push)
    if (refusal?.errno === 'EAGAIN') return undefined // the pipe is full
    if (refusal !== undefined) return refusal
    parser.end()
    return inAMoment((checkpoint) => confirm(before.fd, after.fd, replay.candidates(), checkpoint))
  } finally {
    closeEach(after, before)
  }
}

/** packChanges of core, without a thread where there is little to pack. */
export function packQuickly(
  view: string,
  changes: readonly Change[],
  options: PackOptions = {},
): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (!isLittle(view, changes)) return packChanges(view, changes, options)
  const chunks: Buffer[] = []
  const { notices } = pack(view, changes, { emit: (bytes) => chunks.push(Buffer.from(bytes)) })
  for (const text of notices) options.notice?.(text)
  return chunks
}

/** Pushes a stream that fits in a pipe. */
async function sendShort(
  root: number,
  parent: number,
  push: (chunk: Uint8Array) => void,
): Promise<Refusal | undefined> {
  const ends = pipe({ nonblocking: true })
  try {
    try {
      await sendInPool(root, ends.write, parent)
    } catch (error) {
      return refusalOf(error)
    } finally {
      close(ends.write)
    }
    const buffer = Buffer.allocUnsafe(64 * 1024)
    for (;;) {
      const length = read(ends.read, buffer, 0, buffer.length, null)
      if (length === 0) return undefined
      push(buffer.subarray(0, length))
    }
  } finally {
    close(ends.read)
  }
}

/** Undefined where it takes longer. */
function inAMoment<T>(work: (checkpoint: (bytes: number) => void) => T): T | undefined {
  const end = performance.now() + MOMENT
  let bytes = 0
  try {
    return work((more) => {
      bytes += more
      if (bytes > FEW_BYTES || performance.now() > end) throw TOO_MUCH
    })
  } catch (error) {
    if (error === TOO_MUCH) return undefined
    throw error
  }
}

function isLittle(view: string, changes: readonly Change[]): boolean {
  if (changes.length > FEW_CHANGES) return false
  const tree = openTree(view)
  try {
    let bytes = 0
    for (const { path, kind } of changes) {
      if (kind === 'delete') continue
      const { mode, nlink, size } = lstatAt(tree.fd, path === '' ? '.' : path)
      // The other names of a file may have to be searched for in the whole tree.
      if (nlink > 1 && !isDirectory(mode)) return false
      if (isFile(mode)) bytes += size
    }
    return bytes <= FEW_BYTES
  } finally {
    tree.close()
  }
}

const TOO_MUCH = new Error('more than a moment')
