/**
 * The files that an extraction has written, brought to disk beside what comes next. Each is being written out when it comes
 * here; that its content is there is waited for later, some hundred together. What leads to the content is in the file
 * system's journal by then (ext4: the extents are converted before the write is over), and is on disk with it.
 */
import { close, waitForFileRange } from '../sys/files.js'

export interface DurableFiles {
  /** Takes over the descriptor of a written file. */
  take(fd: number): void
  /** The content of all that were taken is on disk. @throws SysError */
  finish(): void
  /** Gives descriptors back, also after a failure. */
  close(): void
}

/** Descriptors held. */
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

/** The same for an extraction that somebody else brings to disk. */
export const NOT_DURABLE: DurableFiles = { take: close, finish() {}, close() {} }
