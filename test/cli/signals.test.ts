/**
 * Every command with every signal: it ends with 128 plus the signal's number, only says that it was interrupted, and leaves
 * a clean store. Nobody reads its standard output, so it can't end before the signal.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { constants as os, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { commands } from '../../cli/registry.js'
import { makePipe, setNonblocking, setPipeSize } from '../support/libc.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { CLI, varveAt } from '../support/varve.js'
import { dockerContent, imageOf, layerTar, tarOf } from '../unit/formats/build.js'
import { endOf } from './readers.js'

const work = mkdtempSync(join(tmpdir(), 'varve-signals-'))
const varve = varveAt(join(work, 'root'), 'vfs')
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

before(async () => {
  mkdirSync(varve.root, { mode: 0o700 })
  await varve.varve('import', archive('app'))
  await varve.varve('create', '--parent', 'app:1', '--id', 'work')
})
const held: number[] = []
after(() => {
  for (const fd of held) closeSync(fd)
  rmSync(work, { recursive: true, force: true })
})

/** Command lines that print something; `N` is a different number each time. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  import: ['import ARCHIVE', 'import --layer LAYER', 'import SILENT'],
  export: [
    'export app:1',
    'export app:1 --format oci-archive --compress gzip',
    'export --layer app:1#0',
    'export app:1 -o SILENT',
  ],
  images: ['images'],
  layers: ['layers'],
  tree: ['tree'],
  inspect: ['inspect app:1'],
  info: ['info'],
  driver: ['driver ls'],
  usage: ['usage app:1'],
  ls: ['ls -R app:1', '--json ls app:1'],
  cat: ['cat app:1 etc/app'],
  diff: [
    'diff app:1',
    'diff --tar app:1',
    'diff --tar work',
    'diff --tar app:1#0 app:1',
    'diff app:1 --stat',
    'diff app:1 --content',
  ],
  create: ['create --id made-N'],
  mount: ['mount work'],
  umount: ['umount nothing'],
  commit: ['commit tried-N'],
  tag: ['--json tag app:1 other:N'],
  rm: ['rm tried-N'],
  prune: ['prune'],
  check: ['check --data'],
  repair: ['repair --from ARCHIVE', 'repair --from SILENT'],
  serve: ['serve docker --socket SOCKET', 'serve containerd --socket SOCKET'],
  completion: ['completion bash'],
}
/** Other allowed statuses: `serve` ends normally on a signal, and `umount` prints nothing that would block. */
const MAY_END: Readonly<Record<string, readonly (number | string)[]>> = { serve: [0], umount: [3] }

test('the table has every command', () => {
  assert.deepEqual(Object.keys(LINES).sort(), commands.map(({ name }) => name).sort())
})

let number = 0

for (const { name } of commands) {
  const skip = ['serve', 'mount', 'umount'].includes(name) ? NEEDS_ROOT : false
  test(`${name}: the exit status shows the signal`, { skip }, async () => {
    for (const line of LINES[name] ?? []) {
      const tried = SIGNALS.map((signal) => ({ signal, id: `${++number}` }))
      for (const { id } of tried)
        if (line.includes('tried-N')) await varve.varve('create', '--id', `tried-${id}`)
      await Promise.all(
        tried.map(async ({ signal, id }, i) => {
          const words = line.split(' ').map((word) => filled(word, id))
          const { status, error } = await interrupted(words, signal, i * 100)
          const where = `${line}, ${signal}: ${error}`
          const allowed: readonly (number | string)[] = [
            128 + os.signals[signal],
            signal,
            ...(MAY_END[name] ?? []),
          ]
          assert.ok(allowed.includes(status), `${status}: ${where}`)
          if (status !== 3 && name !== 'serve')
            assert.match(error, /^(varve: interrupted\n|\{"error":\{"code":"CANCELLED".*\n)?$/, where)
          assert.doesNotMatch(error, /internal error|AbortError/, where)
        }),
      )
    }
    if (name === 'mount') await unmountAll()
    assert.equal(await varve.varve('check', '--data'), 'all is well\n')
  })
}

function filled(word: string, id: string): string {
  return word
    .replace(/(?<=[-:])N$/, id)
    .replace('ARCHIVE', () => archive(`more-${id}`))
    .replace('LAYER', () => put(`layer-${id}`, layerTar(`layer-${id}`, 100_000)))
    .replace('SOCKET', join(work, `socket-${id}`))
    .replace('SILENT', () => fifo(`fifo-${id}`))
}

/** Sends the signal as soon as the command can catch it, or `later` milliseconds after that. */
async function interrupted(words: readonly string[], signal: NodeJS.Signals, later: number) {
  const pipe = fullPipe()
  const child = spawn(process.execPath, [CLI, ...words], {
    stdio: ['ignore', pipe.write, 'pipe'],
    env: { ...process.env, VARVE_ROOT: varve.root, VARVE_DRIVER: 'vfs' },
  })
  closeSync(pipe.write)
  const said: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
  const ended = endOf(child)
  const isOver = ended.then(() => true)
  try {
    while (!catches(child.pid ?? 0, signal) && !(await Promise.race([isOver, wait(5, false)])));
    await Promise.race([isOver, wait(later)])
    child.kill(signal)
    return { status: await ended, error: said.join('') }
  } finally {
    closeSync(pipe.read)
  }
}

/** Is there a handler for the signal (proc(5), SigCgt)? */
function catches(pid: number, signal: NodeJS.Signals): boolean {
  const file = `/proc/${pid}/status`
  const mask = existsSync(file) ? (/^SigCgt:\s*(\w+)/m.exec(readFileSync(file, 'utf8'))?.[1] ?? '0') : '0'
  return ((BigInt(`0x${mask}`) >> BigInt(os.signals[signal] - 1)) & 1n) === 1n
}

/** A pipe that is full. */
function fullPipe(): { readonly read: number; readonly write: number } {
  const pipe = makePipe()
  setPipeSize(pipe.write, 4096)
  setNonblocking(pipe.write)
  writeSync(pipe.write, Buffer.alloc(4096))
  return pipe
}

async function unmountAll(): Promise<void> {
  for (;;) if ((await varve.attempt(['umount', 'work'])).status !== 0) return
}

function archive(name: string): string {
  return put(
    `${name}.tar`,
    tarOf(
      dockerContent([
        { ...imageOf([layerTar(name, 300_000), layerTar(`${name}-2`, 9000)]), tags: [`${name}:1`] },
      ]),
    ),
  )
}

/** A fifo that another descriptor holds open without reading or writing. */
function fifo(name: string): string {
  const path = join(work, name)
  execFileSync('mkfifo', [path])
  held.push(openSync(path, constants.O_RDWR))
  return path
}

function put(name: string, content: Buffer): string {
  const path = join(work, name)
  writeFileSync(path, content)
  return path
}
