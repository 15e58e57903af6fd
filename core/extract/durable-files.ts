/**
 * Brings the files of an extraction to disk while it goes on. A file that comes here is already being written out; this
 * waits for its content later, for some hundred files at a time. By then the metadata that leads to the content is in the
 * file system's journal (ext4 converts the extents before the write is over), and reaches the disk with it.
 */
import { close, waitForFileRange } from '../sys/files.js'

export interface DurableFiles {
  /** Takes over the descriptor of a written file. */
  take(fd: number): void
  /** Waits until the content of all files taken is on disk. @throws SysError */
  finish(): void
  /** Closes its descriptors, also after a failure. */
  close(): void
}

/** Descriptors held, at most. */
const TOGETHER = 256

export function createDurableFiles(): DurableFiles {
  const taken: number[] = []
  const finish = () => {
    for (let fd = taken.at(-1); fd !== undefined; fd = taken.at(-1)) {
      waitForFileRange(fd, 0, 0)
      taken.pop()
      close(fd)
    }
  }
  return {
    take(fd) {
      taken.push(fd)
      if (taken.length === TOGETHER) finish()
    },
    finish,
    close() {
      for (const fd of taken.splice(0)) close(fd)
    },
  }
}

/** For an extraction that its caller brings to disk. */
export const NOT_DURABLE: DurableFiles = { take: close, finish() {}, close() {} }
