#!/usr/bin/env node
/** The `varve` command. It loads as little as possible before it knows what it needs, so that `--version` is fast. */
import { readFileSync } from 'node:fs'

const words = process.argv.slice(2)
process.once('uncaughtException', async (error) => {
  const [{ failureText }, { standardError }] = await Promise.all([
    import('./print/failure.js'),
    import('../core/sys/standard.js'),
  ])
  await standardError()
    .write(failureText(error, { json: words.includes('--json') }))
    .catch(() => {}) // nobody reads it; there is still the exit status
  process.exit(1)
})

const isVersion = words.length === 1 && words[0] === '--version'
const status = isVersion && (await saidVersion()) ? 0 : await runAll()
// `process.exit` would wait for a pool thread that hangs on a silent fifo. In that case the process sends itself the signal
// that interrupted it, which gives a shell the same status.
if (status > 128 && process.getActiveResourcesInfo().includes('FSReqCallback')) {
  process.kill(process.pid, status - 128)
}
process.exit(status)

async function runAll(): Promise<number> {
  const { run } = await import('./run.js')
  return run(words, { version: version() })
}

/** False where the write failed: `run` tries again and reports the error. */
async function saidVersion(): Promise<boolean> {
  const { standardOutput } = await import('../core/sys/standard.js')
  return standardOutput()
    .write(`${version()}\n`)
    .then(
      () => true,
      () => false,
    )
}

/** The version in the nearest package.json above this file. */
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
