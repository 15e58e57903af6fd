/** A thread that the kernel holds until all of a send stream is written; the pipe's other end is read elsewhere. */
import { constants } from 'node:fs'
import { close, open } from '../../core/sys/files.js'
import { serve } from '../../core/threads/worker.js'
import { send } from './ioctls.js'
import { type Refusal, refusalOf } from './refusal.js'

export interface SendJob {
  /** A read-only subvolume. */
  readonly path: string
  /** The id of the one it is compared with. */
  readonly parent: number
  /** The pipe's end to write to; stays the caller's. */
  readonly into: number
}

serve(({ path, parent, into }: SendJob): Refusal | undefined => {
  const fd = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    send(fd, into, parent)
    return undefined
  } catch (error) {
    return refusalOf(error)
  } finally {
    close(fd)
  }
})
