#!/usr/bin/env node
/** The `varve` command. As little as can be is loaded before it is known what for: `--version` must cost nothing. */
import { readFileSync } from 'node:fs'

const words = process.argv.slice(2)
process.once('uncaughtException', async (error) => {
  const [{ failureText }, { standardError }] = await Promise.all([
    import('./print/failure.js'),
    import('../core/sys/standard.js'),
  ])
  await standardError()
    .write(failureText(error, { json: words.includes('--json') }))
    .catch(() => {}) // the status still tells
  process.exit(1)
})

const isVersion = words.length === 1 && words[0] === '--version'
const status = isVersion && (await saidVersion()) ? 0 : await runAll()
// Exit would wait for a thread of the pool that hangs on a silent fifo. Then the signal that came ends us after all,
// which to a shell is the same status.
if (status > 128 && process.getActiveResourcesInfo().includes('FSReqCallback')) {
  process.kill(process.pid, status - 128)
}
process.exit(status)

async function runAll(): Promise<number> {
  const { run } = await import('./run.js')
  return run(words, { version: version() })
}

/** False where it could not be: the long way says why. */
async function saidVersion(): Promise<boolean> {
  const { standardOutput } = await import('../core/sys/standard.js')
  return standardOutput()
    .write(`${version()}\n`)
    .then(
      () => true,
      () => false,
    )
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
