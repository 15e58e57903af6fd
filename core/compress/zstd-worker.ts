/** Compresses with zstd without the command: from one channel into another. */
import { type ByteChannel, type ByteSink, openConsumer, openProducer } from '../threads/channel.js'
import { serve } from '../threads/worker.js'
import { createZstdEncoder } from './zstd-library.js'

export interface ZstdTask {
  readonly input: ByteChannel
  readonly output: ByteSink
}

serve<ZstdTask, void>(({ input, output }) => {
  const consumer = openConsumer(input)
  const producer = openProducer(output)
  try {
    const encoder = createZstdEncoder((bytes) => {
      const slot = producer.acquire()
      slot.set(bytes)
      producer.commit(bytes.length)
    })
    try {
      for (let bytes = consumer.read(); bytes !== undefined; bytes = consumer.read()) encoder.push(bytes)
      encoder.end()
    } finally {
      encoder.free()
    }
    producer.end()
  } catch (error) {
    consumer.cancel()
    producer.fail()
    throw error
  }
})
