/** Back pressure of streams that are written to by hand. */
import type { EventEmitter } from 'node:events'

type Drainable = Pick<EventEmitter, 'on' | 'off'> & { readonly destroyed: boolean }

/** After a `write` that gave false: until there is room again, or nobody who takes more. Rejects with the stream's error. */
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
