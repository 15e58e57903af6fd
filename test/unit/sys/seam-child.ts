/** Runs steps with fault points and calls, as a child process that VARVE_FAULT may stop; `worker` does so in a thread. */
import { mkdirSync } from 'node:fs'
import { isMainThread, Worker } from 'node:worker_threads'
import { mkdir, readdir } from '../../../core/sys/files.js'
import { changingCalls, counts, point, totalCalls } from '../../../core/sys/seam.js'

const [, , mode = '', root = ''] = process.argv
if (mode === 'worker' && isMainThread) {
  readdir(root)
  new Worker(new URL(import.meta.url), { argv: [mode, root] }).on('exit', () => {
    say(JSON.stringify({ counts: [...counts()], total: totalCalls(), changing: changingCalls() }))
  })
} else steps()

function steps(): void {
  for (const name of ['one', 'two', 'three']) {
    point(`before-${name}`)
    try {
      mkdir(`${root}/${name}`, 0o755)
    } catch (error) {
      mkdirSync(`${root}/failed-${name}-${error instanceof Error && 'code' in error ? error.code : ''}`)
    }
    readdir(root)
    point(`after-${name}`)
    point(`mkdir:${name}:done`)
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
