/** Back pressure for streams that are written to directly. */
import type { EventEmitter } from 'node:events'

type Drainable = Pick<EventEmitter, 'on' | 'off'> & { readonly destroyed: boolean }

/** After a `write` that returned false: waits for room, or for the stream's close. @throws the stream's error */
export async function untilDrained(stream: Drainable): Promise<void> {
  if (stream.destroyed) return
  await new Promise<void>((resolve, reject) => {
    const settle = (act: () => void) => {
      stream.off('drain', onDrain)
      stream.off('close', onDrain)
      stream.off('error', onError)
      act()
    }
    const onDrain = () => settle(resolve)
    const onError = (error: unknown) => settle(() => reject(error))
    stream.on('drain', onDrain)
    stream.on('close', onDrain)
    stream.on('error', onError)
  })
}
