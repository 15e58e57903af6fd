/** What both services share: the log, metrics, the socket's place, and readiness. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import koffi from 'koffi'
import { createCalls } from '../../cli/serve/calls.js'
import { createLog, type Fields } from '../../cli/serve/log.js'
import { createMetrics } from '../../cli/serve/metrics.js'
import { parseEndpoint } from '../../cli/serve/metrics-server.js'
import { createReadiness } from '../../cli/serve/ready.js'
import { reserveSocket } from '../../cli/serve/socket.js'
import type { Store } from '../../core/api/store.js'
import { STATUS, VarveError } from '../../core/errors.js'
import { notify } from '../../core/sys/notify.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { varveAt } from '../support/varve.js'
import { dockerClient, parsed, responseOf } from './docker/client.js'
import { startServing } from './serving.js'

const lib = koffi.load(null)
/** Node has no unix datagram sockets. */
const libc = {
  socket: lib.func('int socket(int, int, int)') as (family: number, type: number, protocol: number) => number,
  bind: lib.func('int bind(int, const void *, uint32)') as (fd: number, name: Buffer, size: number) => number,
  recv: lib.func('int64 recv(int, void *, size_t, int)') as (
    fd: number,
    into: Buffer,
    size: number,
    flags: number,
  ) => number,
}
const MSG_DONTWAIT = 0x40
const NOW = () => new Date('2026-01-31T10:00:00.000Z')

test('A log line is text or JSON, and nothing in it can steer a terminal or begin another line.', () => {
  const cases: readonly (readonly [fields: Fields, text: string])[] = [
    [{ id: 'a1-init', ms: 0.5 }, 'id=a1-init ms=0.5'],
    [{ id: undefined, ok: true }, 'ok=true'],
    [{ error: 'no such "x"' }, 'error="no such \\"x\\""'],
    [{ id: 'a\nb\x1b[31m' }, 'id="a\\nb\\u001b[31m"'],
    [{ id: '' }, 'id=""'],
  ]
  for (const [fields, text] of cases) {
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    createLog({ level: 'info', json: false, write, now: NOW }).info('Get', fields)
    createLog({ level: 'info', json: true, write, now: NOW }).info('Get', fields)
    assert.equal(lines[0], `2026-01-31T10:00:00.000Z info  Get ${text}\n`)
    const parsed: unknown = JSON.parse(lines[1] ?? '')
    const expected = { time: '2026-01-31T10:00:00.000Z', level: 'info', message: 'Get', ...fields }
    assert.deepEqual(parsed, JSON.parse(JSON.stringify(expected)))
    assert.equal(lines.join('').split('\n').length, 3)
  }
})

test('Only lines of the level or above are written.', () => {
  const lines: string[] = []
  const log = createLog({ level: 'warn', json: false, write: (line) => void lines.push(line), now: NOW })
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level](level)
  assert.deepEqual(
    lines.map((line) => line.split(' ').at(-1)),
    ['warn\n', 'error\n'],
  )
})

test('A call is counted, timed, logged at the level of its failure, and waited for.', async () => {
  const lines: string[] = []
  const log = createLog({ level: 'debug', json: false, write: (line) => void lines.push(line), now: NOW })
  const metrics = createMetrics()
  const calls = createCalls('docker', log, metrics)
  const fail = (error: Error) => () => Promise.reject(error)
  const codes = { NOT_FOUND: 'debug', RESOURCE_EXHAUSTED: 'warn', CORRUPT: 'warn' } as const
  for (const [code, level] of Object.entries(codes)) {
    await assert.rejects(calls.run('Get', { id: 'x' }, fail(new VarveError(code as 'CORRUPT', 'why'))), /why/)
    assert.match(lines.at(-1) ?? '', new RegExp(` ${level} +Get id=x ms=\\S+ code=${code} error=why\\n$`))
  }
  await assert.rejects(calls.run('Get', {}, fail(new TypeError('a mistake'))), /a mistake/)
  assert.match(lines.at(-1) ?? '', / error Get .*code=INTERNAL.*a mistake.*stack=/)
  await assert.rejects(calls.run('Get', {}, fail(new VarveError('CANCELLED', 'it hung up'))), /hung up/)
  assert.match(lines.at(-1) ?? '', / debug Get /)
  const running = calls.run('Diff', {}, (signal) => once(signal, 'abort'))
  const brokenOff = calls.run('Put', {}, async (signal) => {
    await once(signal, 'abort')
    throw signal.reason
  })
  assert.equal(calls.running(), 2)
  const idle = calls.idle()
  calls.abort()
  await assert.rejects(brokenOff, /the service is stopping/)
  assert.match(lines.at(-1) ?? '', / warn +Put .*code=CANCELLED error="the service is stopping"\n$/)
  await Promise.all([running, idle])
  assert.equal(calls.running(), 0)
  metrics.imported('docker', 10)
  const text = await metrics.text(STORE)
  const expected = [
    'varve_calls_total{service="docker",method="Get"} 5',
    'varve_call_errors_total{service="docker",method="Get",code="CORRUPT"} 1',
    'varve_call_duration_seconds_bucket{service="docker",method="Get",le="+Inf"} 5',
    'varve_call_duration_seconds_count{service="docker",method="Get"} 5',
    'varve_calls_running{service="docker",method="Diff"} 0',
    'varve_imported_bytes_total{service="docker"} 10',
    'varve_layers{driver="overlay"} 3',
    'varve_layer_bytes{driver="overlay"} 4096',
  ]
  for (const line of expected) assert.ok(text.includes(`${line}\n`), `${line} is not in\n${text}`)
  const sample = /^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [\d.e+-]+$/
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('# '))) {
    assert.match(line, sample)
  }
})

test('Metrics are served at a path, at a port on 127.0.0.1, or at a given address.', () => {
  const cases: readonly (readonly [text: string, endpoint: ReturnType<typeof parseEndpoint> | undefined])[] =
    [
      ['/run/m.sock', { kind: 'socket', path: '/run/m.sock' }],
      ['unix:/run/m.sock', { kind: 'socket', path: '/run/m.sock' }],
      ['9323', { kind: 'tcp', host: '127.0.0.1', port: 9323 }],
      [':9323', { kind: 'tcp', host: '127.0.0.1', port: 9323 }],
      ['0.0.0.0:1', { kind: 'tcp', host: '0.0.0.0', port: 1 }],
      ['[::1]:9323', { kind: 'tcp', host: '::1', port: 9323 }],
      ['node-1.example:80', { kind: 'tcp', host: 'node-1.example', port: 80 }],
      ['', undefined],
      ['localhost', undefined],
      ['host:65536', undefined],
      ['run/m.sock', undefined],
      ['::1:80', undefined],
    ]
  for (const [text, endpoint] of cases) {
    if (endpoint === undefined) assert.throws(() => parseEndpoint(text), { code: 'INVALID_ARGUMENT' }, text)
    else assert.deepEqual(parseEndpoint(text), endpoint, text)
  }
})

test('A socket is visible only when ready, for its owner alone; a stale one is replaced, a living one is not.', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'new', 'deep', 'v.sock')
    const place = await reserveSocket(path)
    assert.ok(!existsSync(path))
    const server = createServer()
    server.listen(place.binding)
    await once(server, 'listening')
    await assert.rejects(reserveSocket(path), /another varve serve listens there/)
    place.publish()
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(join(folder, 'new/deep')).sort(), ['.v.sock.lock', 'v.sock'])
    place.withdraw()
    place.withdraw()
    server.close()
    assert.deepEqual(readdirSync(join(folder, 'new/deep')), [])

    // A stale socket: the process that listened was killed.
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    await once(spawn(process.execPath, ['-e', script]), 'close')
    assert.ok(statSync(path).isSocket())
    const again = await reserveSocket(path)
    again.withdraw()
    assert.ok(statSync(path).isSocket(), 'the old socket stays until it is replaced')

    const other = createServer()
    rmSync(path)
    other.listen(path)
    await once(other, 'listening')
    await assert.rejects(reserveSocket(path), /another program listens there/)
    other.close()
    writeFileSync(path, '')
    await assert.rejects(reserveSocket(path), /something other than a socket/)
    await assert.rejects(reserveSocket(join(folder, 'x'.repeat(100))), { code: 'INVALID_ARGUMENT' })
  }))

test('The error about a descriptor quotes the word that was given.', () => {
  const log = createLog({ level: 'error', json: false, write: () => {} })
  for (const [word, told] of [
    ['abc', '--ready-fd "abc": want the number'],
    ['', '--ready-fd "": want the number'],
    ['2', '--ready-fd "2": want the number'],
    ['3.5', '--ready-fd "3.5": want the number'],
    ['0x10', '--ready-fd "0x10": want the number'],
    ['999999999', '--ready-fd "999999999": EBADF'],
    ['99999999999', '--ready-fd "99999999999": want the number'],
  ] as const) {
    assert.throws(
      () => createReadiness(word, log),
      (error) =>
        error instanceof VarveError && error.code === 'INVALID_ARGUMENT' && error.message.startsWith(told),
      word,
    )
  }
})

test('systemd is notified by a datagram to a path or an abstract name, and nothing happens without it.', () =>
  inFolder(async (folder) => {
    notify('READY=1', undefined)
    notify('READY=1', '')
    assert.throws(() => notify('READY=1', join(folder, 'nobody')), /ENOENT.*sendto/)
    for (const address of [join(folder, 'notify'), `@varve-test-${process.pid}`]) {
      const manager = listenForDatagrams(address)
      try {
        notify('READY=1\nMAINPID=5', address)
        assert.equal(manager.next(), 'READY=1\nMAINPID=5')
      } finally {
        manager.close()
      }
    }
  }))

test(
  'A service notifies the manager when it is ready and when it stops, logs JSON, and serves metrics at a port.',
  {
    skip: NEEDS_ROOT,
  },
  () =>
    inFolder(async (folder) => {
      const manager = listenForDatagrams(join(folder, 'notify'))
      const [root, socket] = [join(folder, 'root'), join(folder, 'socket')]
      try {
        const service = await startServing('docker', {
          root,
          driver: 'vfs',
          socket,
          args: ['--json', '--metrics', '127.0.0.1:0'],
          env: { NOTIFY_SOCKET: join(folder, 'notify') },
        })
        assert.equal(manager.next(), `READY=1\nMAINPID=${service.pid}`)
        assert.equal(statSync(socket).mode & 0o777, 0o600)
        const client = dockerClient(socket)
        await client.done('Exists', { ID: 'x' })
        const lines = () =>
          service
            .log()
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line) as Fields)
        const { metrics } = lines().find(({ message }) => message === 'serving docker') ?? {}
        for (const [method, path, status, words] of [
          ['GET', '/healthz', 200, /^ok\n$/],
          ['GET', '/metrics?x=y', 200, /^varve_calls_total\{service="docker",method="Exists"\} 1$/m],
          ['GET', '/other', 404, /there is \/metrics/],
          ['POST', '/metrics', 405, /^$/],
        ] as const) {
          const answer = await fetch(`${metrics}${path}`, { method })
          assert.equal(answer.status, status, path)
          assert.match(await answer.text(), words)
        }
        assert.equal(await service.end('SIGTERM'), 0, service.log())
        assert.equal(manager.next(), 'STOPPING=1')
        assert.deepEqual(
          lines().map(({ level, message }) => `${level} ${message}`),
          ['info serving docker', 'debug Exists', 'info stopping docker', 'info stopped docker'],
        )
        assert.ok(!existsSync(socket))
      } finally {
        manager.close()
      }
    }),
)

test(
  'A service that gets SIGTERM breaks off after ten seconds what does not end, and leaves nothing of it.',
  {
    skip: NEEDS_ROOT,
  },
  () =>
    inFolder(async (folder) => {
      const [root, socket] = [join(folder, 'root'), join(folder, 'socket')]
      const service = await startServing('docker', { root, driver: 'vfs', socket })
      const client = dockerClient(socket)
      await client.done('Create', { ID: 'endless' })
      const asking = client.open('/GraphDriver.ApplyDiff?id=endless')
      const answer = responseOf(asking).then(parsed)
      asking.write(Buffer.alloc(100))
      const deadline = Date.now() + 180_000
      while ((await client.done('Exists', { ID: 'endless' })).Exists !== false) {
        assert.ok(Date.now() < deadline, 'the request was not accepted within three minutes')
      }
      assert.equal(await service.end('SIGTERM'), 0, service.log())
      const { status, body } = await answer
      assert.deepEqual(
        [status, body],
        [STATUS.CANCELLED.http, { Err: 'layer endless: the service is stopping' }],
      )
      assert.match(service.log(), / warn +ApplyDiff id=endless .*"layer endless: the service is stopping"/)
      assert.deepEqual(await varveAt(root, 'vfs').json('layers'), [])
    }),
)

const STORE = {
  info: async () => ({ driver: 'overlay', layers: 3, images: 1, mounts: 2, size: 4096 }),
} as unknown as Store

/** A socket like a service manager's; `@` begins an abstract name. */
function listenForDatagrams(address: string) {
  const fd = libc.socket(1, 2, 0)
  const name = Buffer.from(address.replace('@', '\0'))
  const bytes = Buffer.concat([Buffer.from(new Uint16Array([1]).buffer), name])
  assert.equal(libc.bind(fd, bytes, bytes.length), 0)
  return {
    /** The next waiting message; '' where there is none. */
    next(): string {
      const got = Buffer.alloc(100)
      return got.toString('utf8', 0, Math.max(0, libc.recv(fd, got, got.length, MSG_DONTWAIT)))
    },
    close: () => closeSync(fd),
  }
}

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'vk-'))
  mkdirSync(join(folder, 'x'))
  try {
    await use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
