import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { run, which } from '../../../core/sys/exec.js'
import { errno, scratch } from './scratch.js'

test('output, errors and input are complete bytes, whatever their size', async () => {
  const input = Buffer.alloc(3_000_000, '\0\xff\n', 'latin1')
  const { stdout, stderr } = await run('cat', ['-'], { input })
  assert.equal(stdout.equals(input), true)
  assert.equal(stderr, '')
})

test('arguments reach the command unchanged: there is no shell, and no input', async () => {
  const { stdout } = await run('printf', ['%s|', '$HOME', '; ls', '', '*', "a'b"])
  assert.equal(stdout.toString(), "$HOME|; ls||*|a'b|")
  assert.equal((await run('cat', [])).stdout.length, 0)
})

test('a command that does not read its input is judged by its exit status', async () => {
  await run('true', [], { input: Buffer.alloc(1_000_000) })
  await assert.rejects(run('false', [], { input: Buffer.alloc(1_000_000) }), errno('UNAVAILABLE'))
})

test('a failure has the command, the status and its message in the C locale, all of it also as data', async () => {
  const failure = run('ls', ['/no such directory'])
  await assert.rejects(failure, (error) => {
    assert.equal(error instanceof VarveError, true)
    assert.match(
      String(error),
      /ls \/no such directory: exit status 2 \(ls: cannot access '\/no such directory': No such file or directory\)$/,
    )
    const { cause } = error as { cause: object }
    assert.deepEqual(
      { ...cause, stderr: '' },
      {
        command: 'ls',
        args: ['/no such directory'],
        status: 2,
        signal: undefined,
        stderr: '',
      },
    )
    return true
  })
  await assert.rejects(run('no-such-command-here', []), {
    code: 'FAILED_PRECONDITION',
    message: 'run no-such-command-here: no such command: install it',
  })
})

test('only the end of endless errors is kept', async () => {
  const { stderr } = await run('sh', ['-c', 'yes error | head -c 6000000 >&2; echo last >&2'])
  assert.equal(stderr.length, 65536)
  assert.equal(stderr.slice(-11), 'error\nlast\n')
})

test('an abort or a timeout kills the command and what it started', async (t) => {
  const pids = `${scratch(t)}/pids`
  // The inner sleep would keep the pipe open for a minute.
  const args = ['-c', `sleep 60 & echo $$ $! > ${pids}; wait`]
  const started = Date.now()
  const abort = new AbortController()
  const aborted = run('sh', args, { signal: abort.signal })
  while (!fs.existsSync(pids) || fs.statSync(pids).size === 0)
    await new Promise((resolve) => setTimeout(resolve, 5))
  abort.abort()
  await assert.rejects(aborted, errno('CANCELLED'))
  await assert.rejects(run('sh', args, { timeoutMs: 300 }), {
    code: 'UNAVAILABLE',
    message: /: not done after 300 ms, killed$/,
  })
  await assert.rejects(run('true', [], { signal: AbortSignal.abort() }), errno('CANCELLED'))
  assert.equal(Date.now() - started < 30_000, true)
  for (const pid of fs.readFileSync(pids, 'utf8').trim().split(' ')) await gone(pid)
})

test('a command that is killed by another process is reported so', async () => {
  await assert.rejects(run('sh', ['-c', 'kill -TERM $$']), { message: /: killed by SIGTERM$/ })
})

test('which looks in the absolute directories of VARVE_PATH, else in the system’s, whatever is in PATH', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/bin/directory`, { recursive: true })
  fs.writeFileSync(`${root}/bin/tool`, '', { mode: 0o755 })
  fs.writeFileSync(`${root}/bin/text`, '', { mode: 0o644 })
  const path = process.env.PATH
  t.after(() => {
    process.env.PATH = path
    delete process.env.VARVE_PATH
  })
  fs.writeFileSync(`${root}/bin/sh`, '', { mode: 0o755 })
  process.env.PATH = `${root}/bin`
  assert.equal(which('tool'), undefined)
  assert.match(which('sh') ?? '', /^(\/usr)?\/bin\/sh$/)
  process.env.VARVE_PATH = `bin:.::${root}/no:${root}/bin`
  assert.equal(which('tool'), `${root}/bin/tool`)
  assert.equal(which(`${root}/bin/tool`), `${root}/bin/tool`)
  for (const name of ['text', 'directory', 'nothing', `${root}/bin/text`])
    assert.equal(which(name), undefined)
})

/** Waits for the end of a killed process; a zombie counts as ended, since its parent has to reap it. */
async function gone(pid: string): Promise<void> {
  for (let tries = 0; /^State:\s+[^ZX]/m.test(status(pid)); tries++) {
    assert.equal(tries < 1000, true, `process ${pid} still runs`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function status(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
