/**
 * Whatever comes through its socket, a service goes on, with bounded memory, and closes every descriptor. 1,000 errors of
 * each kind at full size.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createRandom, type Random } from '../../conformance/random.js'
import { type Serving, startServing } from '../../serve/serving.js'
import { SEED } from '../../support/seed.js'
import { countCases, sized } from '../size.js'
import { CONTAINERD, DOCKER, type Inputs, mutated } from './service-inputs.js'

/** An idle service has about 100 MiB. */
const MOST = 400 * 2 ** 20
/** Milliseconds to wait for an answer; a malformed request may get none. */
const PATIENCE = 100
/** Milliseconds until the service closes a dead connection, after two unanswered pings (cli/serve/containerd/server.ts). */
const UNTIL_CLOSED = 60_000
const AT_ONCE = 10

for (const [engine, inputs] of Object.entries({ containerd: CONTAINERD, docker: DOCKER })) {
  test(`${engine}: a thousand of each error leave no descriptor and no memory`, async (t) => {
    await withService(t, engine, async (service) => {
      const each = sized(20, 1000)
      for (const bytes of Object.values(inputs)) await send(service, Array(each).fill(bytes))
      return each * Object.keys(inputs).length
    })
  })

  test(`${engine}: mutations of what an engine sends`, async (t) => {
    await withService(t, engine, async (service) => {
      const count = sized(300, 20_000)
      const random = createRandom(SEED)
      await send(service, repeat(count, inputs, random))
      return count
    })
  })
}

function* repeat(count: number, inputs: Inputs, random: Random): Generator<Buffer> {
  for (let i = 0; i < count; i++) yield mutated(inputs, random)
}

async function withService(
  t: TestContext,
  engine: string,
  work: (service: Serving) => Promise<number>,
): Promise<void> {
  const place = mkdtempSync(join(tmpdir(), 'varve-fuzz-'))
  t.after(() => rmSync(place, { recursive: true, force: true }))
  const service = await startServing(engine, {
    root: join(place, 'root'),
    driver: 'vfs',
    socket: join(place, 'socket'),
    level: 'warn',
  })
  t.after(() => service.end('SIGTERM'))
  // Makes it open what it opens only at the first call.
  await send(service, Object.values(engine === 'docker' ? DOCKER : CONTAINERD))
  await settled(service, descriptors(service))
  const before = descriptors(service)
  countCases(t, await work(service))
  await settled(service, before)
  assert.ok(
    descriptors(service) <= before,
    `${descriptors(service)} descriptors are open, and ${before} were`,
  )
  assert.ok(service.memory().peak < MOST, `${service.memory().peak} bytes of memory`)
  assert.doesNotMatch(service.log(), /internal error|TypeError|unhandled/i)
  assert.equal(await service.end('SIGTERM'), 0, service.log())
}

async function settled(service: Serving, before: number): Promise<void> {
  for (const until = Date.now() + UNTIL_CLOSED; Date.now() < until; await wait(200))
    if (descriptors(service) <= before) return
}

async function send(service: Serving, all: Iterable<Buffer>): Promise<void> {
  const rest = all[Symbol.iterator]()
  const one = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) await exchange(service.socket, next.value)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
}

/** Sends the bytes and waits a little for the end; the peer may hang up first. */
async function exchange(socket: string, bytes: Buffer): Promise<void> {
  const connection = createConnection(socket)
  const closed = new Promise<void>((resolve) => connection.once('close', () => resolve()))
  connection.on('error', () => {}) // EPIPE, ECONNRESET: the service hung up
  await Promise.race([once(connection, 'connect').catch(() => {}), closed])
  connection.resume()
  connection.write(bytes)
  await Promise.race([closed, wait(PATIENCE)])
  connection.destroy()
  await closed
}

function descriptors({ pid }: Serving): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
