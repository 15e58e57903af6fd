/** A driver in a child process that VARVE_FAULT can kill or give errors. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface ChildResult {
  /** The signal that killed it; null if it ended by itself. */
  readonly signal: string | null
  readonly result?: unknown
  readonly error?: { readonly code: string; readonly message: string }
  readonly warnings?: readonly string[]
  readonly status?: readonly (readonly [string, string])[]
}

/**
 * `words`: `create ID PARENT [SIZE]`, `changes ID PARENT`, `seal ID`, `unseal ID` (seals it first), `remove ID`,
 * `open`; `-` for no parent.
 */
export function runChild(home: string, words: readonly string[], fault = ''): ChildResult {
  const script = fileURLToPath(new URL('./child-main.js', import.meta.url))
  const { stdout, stderr, signal, status } = spawnSync(process.execPath, [script, home, ...words], {
    env: { ...process.env, VARVE_FAULT: fault, NODE_TEST_CONTEXT: undefined },
    encoding: 'utf8',
  })
  if (signal !== null) return { signal }
  if (status !== 0) throw new Error(`the child ended with ${status}: ${stderr}`)
  return { signal, ...(JSON.parse(stdout) as object) }
}
