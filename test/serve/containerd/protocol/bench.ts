/** What a test of the protocol gets: a service on a backend, and a client. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Varve, varveAt } from '../../../support/varve.js'
import type { ServeCell } from '../../cells.js'
import { mounted } from '../../mounted.js'
import { type Serving, startServing } from '../../serving.js'
import { isStatus, type Message, type Mount, type SnapshotClient, withClient } from '../snapshot-client.js'

export interface Bench {
  readonly varve: Varve
  readonly service: Serving
  readonly client: SnapshotClient
  /** A directory for the test's own files. */
  readonly place: string
}

/** By title; each gets its own service. */
export type Cases = Readonly<Record<string, (bench: Bench) => Promise<void>>>

/** Afterwards the store must check clean. An error includes the log. */
export async function withBench(
  { driver, within }: ServeCell,
  use: (bench: Bench) => Promise<void>,
): Promise<void> {
  await within(async (place) => {
    const varve = varveAt(join(place, 'root'), driver)
    const socket = join(place, 'socket')
    const service = await startServing('containerd', { root: varve.root, driver, socket })
    try {
      await withClient(socket, {}, (client) => use({ varve, service, client, place }))
    } catch (error) {
      throw new Error(`the service said:\n${service.log()}`, { cause: error })
    } finally {
      await service.end('SIGTERM')
    }
    const check = await varve.attempt(['check', '--data'])
    assert.equal(check.status, 0, check.stdout + check.stderr)
  })
}

/** A `base`, and on it a `top`, an `active` snapshot and a `view`. */
export async function family({ call }: SnapshotClient): Promise<void> {
  await call('Prepare', { key: 'base key' })
  await call('Commit', { key: 'base key', name: 'base' })
  await call('Prepare', { key: 'top key', parent: 'base' })
  await call('Commit', { key: 'top key', name: 'top' })
  await call('Prepare', { key: 'active', parent: 'base' })
  await call('View', { key: 'view', parent: 'base' })
}

export async function mountsOf(answer: Promise<Message>): Promise<readonly Mount[]> {
  return (await answer).mounts as readonly Mount[]
}

export async function refused(call: Promise<unknown>, code: number, words = /^/): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isStatus(error), String(error))
    assert.deepEqual([error.code, words.test(error.details)], [code, true], error.details)
    return true
  })
}

export function write(bench: Bench, mounts: readonly Mount[], name: string, content: string): void {
  mounted(bench.place, mounts, (path) => writeFileSync(join(path, name), content))
}

export function read(bench: Bench, mounts: readonly Mount[], name: string): string {
  return mounted(bench.place, mounts, (path) => readFileSync(join(path, name), 'utf8'))
}
