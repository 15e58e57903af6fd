/**
 * Counts the changing calls of a service, as `kill:call:N` of VARVE_FAULT does. The service preloads this file (`callsOf`)
 * and writes the count to a file as it ends.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { changingCalls } from '../../core/sys/seam.js'

const VARIABLE = 'VARVE_TEST_CALLS'
const file = process.env[VARIABLE]

if (file !== undefined && isMainThread) process.on('exit', () => writeFileSync(file, `${changingCalls()}\n`))

interface Service {
  end(signal: 'SIGTERM'): Promise<number | string>
}

/**
 * The number of changing calls of a service from its start to its end, while `work` uses it; another runs before and after.
 */
export async function callsOf(
  {
    service,
    startService,
  }: {
    service(): Service
    startService(env?: Readonly<Record<string, string>>): Promise<Service>
  },
  into: string,
  work: () => Promise<unknown>,
): Promise<number> {
  await service().end('SIGTERM')
  const counting = await startService({ NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: into })
  await work()
  assert.equal(await counting.end('SIGTERM'), 0)
  await startService()
  return Number(readFileSync(into, 'utf8'))
}
