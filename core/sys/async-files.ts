/**
 * Calls in libuv's pool, for the main thread, where a call may block: on a pipe, say. Never from a jailed thread: the pool
 * is outside the jail.
 */
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { fromNode } from './error.js'
import { enter, enterMoving } from './seam.js'

/** For a fifo, which blocks until somebody opens its other end. `path` is a byte string. @throws SysError */
export async function openAsync(path: string, flags: number): Promise<number> {
  enter('open', path)
  try {
    return await fsOpen(Buffer.from(path, 'latin1'), flags)
  } catch (error) {
    throw fromNode(error, 'open', path)
  }
}

/** Bytes read, 0 at the end. `position` null reads on from the last read. @throws SysError */
export async function readAsync(fd: number, buffer: Uint8Array, position: number | null): Promise<number> {
  const most = enterMoving('read', buffer.length)
  try {
    return (await fsRead(fd, buffer, 0, most, position)).bytesRead
  } catch (error) {
    throw fromNode(error, 'read')
  }
}

/** Writes all of it, at the descriptor's position. @throws SysError */
export async function writeAllAsync(fd: number, buffer: Uint8Array): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const most = enterMoving('write', buffer.length - done)
    try {
      done += (await fsWrite(fd, buffer, done, most, null)).bytesWritten
    } catch (error) {
      throw fromNode(error, 'write')
    }
  }
}

const fsOpen = promisify(fs.open)
const fsRead = promisify(fs.read)
const fsWrite = promisify(fs.write)
