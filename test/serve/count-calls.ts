/**
 * Preloaded by a service (`countingCalls`), which then writes how many changing calls it made to a file as it ends: what
 * `kill:call:N` of VARVE_FAULT counts.
 */
import { writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { changingCalls } from '../../core/sys/seam.js'

const VARIABLE = 'VARVE_TEST_CALLS'
const file = process.env[VARIABLE]

if (file !== undefined && isMainThread) process.on('exit', () => writeFileSync(file, `${changingCalls()}\n`))

/** The environment for it. */
export function countingCalls(into: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--import=${import.meta.url}`, [VARIABLE]: into }
}
