/** zstd out without the command: from one channel into another. */
import { type ByteChannel, type ByteSink, openConsumer, openProducer } from '../channel.js'
import { serveWorker } from '../worker.js'
import { createZstdEncoder } from './zstd-library.js'

export interface ZstdTask {
  readonly input: ByteChannel
  readonly output: ByteSink
}

serveWorker<ZstdTask, true>(({ input, output }, post) => {
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
  post(true)
})
