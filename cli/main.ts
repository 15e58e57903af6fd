#!/usr/bin/env node
/** The `varve` command. Nothing but `node:fs` is loaded before it is known what for: `--version` must cost nothing. */
import { readFileSync } from 'node:fs'

const words = process.argv.slice(2)
if (words.length === 1 && words[0] === '--version') {
  process.stdout.write(`${version()}\n`)
} else {
  const { run } = await import('./run.js')
  const status = await run(words, { version: version() })
  // Exit would wait for a thread of the pool that hangs on a silent fifo. Then the signal that came ends us after all,
  // which to a shell is the same status.
  if (status > 128 && process.getActiveResourcesInfo().includes('FSReqCallback')) {
    process.kill(process.pid, status - 128)
  }
  process.exit(status)
}

/** Of the nearest package.json above this file. */
function version(): string {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    try {
      const text = readFileSync(new URL('package.json', folder), 'utf8')
      return (JSON.parse(text) as { version: string }).version
    } catch (error) {
      const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
      if (!missing || folder.pathname === '/') throw error
    }
  }
}
