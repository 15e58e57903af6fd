import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { isCode } from '../../../core/errors.js'
import {
  createChannel,
  drain,
  openConsumer,
  openProducer,
  pump,
  recycle,
} from '../../../core/threads/channel.js'

const PIECES = [1, 7, 4096, 100_000, 3, 65_536, 1_000_000]

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (const [i, length] of PIECES.entries()) yield Buffer.alloc(length, i + 1)
}

async function digest(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

test('The consumer sees every byte, however small the ring is', async () => {
  for (const { slots, slotSize } of [
    { slots: 1, slotSize: 1 << 16 },
    { slots: 2, slotSize: 1000 },
    { slots: 16, slotSize: 1 << 18 },
  ]) {
    const { sink, channel } = createChannel({ slots, slotSize })
    const expected = await digest(pieces())
    const [, seen] = await Promise.all([pump(pieces(), sink), digest(drain(channel))])
    assert.equal(seen, expected)
  }
})

test('small pieces reach the readers together, in full slots except the last', async () => {
  const { sink, channel } = createChannel({ slots: 4, slotSize: 1000 })
  async function* small(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 333; i++) yield Buffer.alloc(10, i)
  }
  const read = async () => {
    const lengths: number[] = []
    for await (const chunk of drain(channel)) lengths.push(chunk.length)
    return lengths
  }
  const [, lengths] = await Promise.all([pump(small(), sink), read()])
  assert.deepEqual(lengths, [1000, 1000, 1000, 330])
})

test('a thread that blocks on the ring gets the bytes of another thread', async () => {
  const { sink, channel } = createChannel({ slots: 2, slotSize: 512 })
  const code = `
    const { workerData, parentPort } = require('node:worker_threads')
    import(workerData.url).then(({ openConsumer }) => {
      const consumer = openConsumer(workerData.channel)
      const hash = require('node:crypto').createHash('sha256')
      for (let bytes = consumer.read(); bytes; bytes = consumer.read()) hash.update(bytes)
      parentPort.postMessage(hash.digest('hex'))
    })`
  const url = new URL('../../../core/threads/channel.js', import.meta.url).href
  const worker = new Worker(code, { eval: true, workerData: { url, channel } })
  const answer = new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
  await pump(pieces(), sink)
  assert.equal(await answer, await digest(pieces()))
})

test('a reader that leaves early stops the producer, and the other way round', async () => {
  const { sink, channel } = createChannel({ slots: 2, slotSize: 64 })
  const pumping = assert.rejects(pump(pieces(), sink), (error) => isCode(error, 'CANCELLED'))
  for await (const chunk of drain(channel)) {
    assert.ok(chunk.length > 0)
    break
  }
  await pumping

  const broken = createChannel()
  openProducer(broken.sink).fail()
  assert.throws(
    () => openConsumer(broken.channel).read(),
    (error) => isCode(error, 'CANCELLED'),
  )
})

test("the source's error is the one that pump throws, and the reader does not mistake it for the end", async () => {
  const { sink, channel } = createChannel()
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield randomBytes(10)
    throw new Error('disk on fire')
  }
  const reading = assert.rejects(digest(drain(channel)), (error) => isCode(error, 'CANCELLED'))
  await assert.rejects(pump(failing(), sink), /disk on fire/)
  await reading
})

test('memory is reused, and a stale use of it breaks nothing', async () => {
  const options = { slots: 3, slotSize: 777 }
  const first = createChannel(options)
  const [late, lateReader] = [openProducer(first.sink), openConsumer(first.channel)]
  const waiting = assert.rejects(lateReader.readAsync(), (error) => isCode(error, 'CANCELLED'))
  recycle(first.sink)
  recycle(first.sink)
  await waiting
  const second = createChannel(options)
  assert.equal(second.sink.memory, first.sink.memory)
  assert.notEqual(createChannel(options).sink.memory, first.sink.memory, 'given once')
  recycle(first.sink)
  assert.notEqual(createChannel(options).sink.memory, first.sink.memory, 'the memory is no longer theirs')
  const pumping = pump(pieces(), second.sink)
  late.fail()
  late.end()
  lateReader.cancel()
  assert.throws(
    () => late.acquire(),
    (error) => isCode(error, 'CANCELLED'),
  )
  assert.equal(await digest(drain(second.channel)), await digest(pieces()))
  await pumping
})
