/**
 * The output of a command arrives completely, however slowly it is read, or the status says that it did not. A command ends
 * when the kernel has taken the bytes, not when it has passed them to Node.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makePipe } from '../support/libc.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { CLI, varveAt } from '../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../unit/formats/build.js'
import { endOf, hear, READERS } from './readers.js'

const work = mkdtempSync(join(tmpdir(), 'varve-output-'))
const varve = varveAt(join(work, 'root'), 'vfs')
const root = varve.root
const ENV = { ...process.env, VARVE_ROOT: root, VARVE_DRIVER: 'vfs' }

/**
 * Sizes around every buffer on the way: a page, a pipe, a chunk of a stream, one of an export, and a size that was once cut
 * off.
 */
const EDGES = [4096, 16_384, 65_536, 262_144, 266_240, 524_288]
const SIZES = EDGES.flatMap((edge) => [edge - 1, edge, edge + 1])
/** For readers with fewer risks. */
const SOME = [65_535, 262_145, 524_288]

before(async () => {
  mkdirSync(root, { mode: 0o700 })
  const files = Object.fromEntries(SIZES.map((size) => [`sized/${size}`, content(size)]))
  const many = Object.fromEntries(
    [...Array(900).keys()].map((i) => [`many/${'name-'.repeat(12)}${i}`, `${i}`]),
  )
  const layers = [tarOf(files), tarOf(many)]
  const archive = join(work, 'image.tar')
  writeFileSync(archive, tarOf(dockerContent([{ ...imageOf(layers), tags: ['app:1'] }])))
  await varve.varve('import', archive)
  // A tar of slightly more than 262,144 bytes, where output was once cut off.
  writeFileSync(archive, tarOf({ one: content(266_240 - 512 - 1024) }))
  await varve.varve('import', '--layer', archive)
  await varve.varve('create', '--parent', 'app:1', '--id', 'work')
})
after(() => rmSync(work, { recursive: true, force: true }))

/** Content that is different at every position. */
function content(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 2_654_435_761) >>> 0, at)
  return bytes
}

for (const reader of READERS) {
  test(`a file of any size reaches ${reader.title} completely`, async () => {
    await atOnce(reader.pipe === 4096 ? SIZES : SOME, async (size) => {
      const { status, bytes, rest } = await hear(['cat', 'app:1', `sized/${size}`], reader, { root })
      assert.deepEqual([status, rest, bytes.length], [0, '', size])
      assert.ok(bytes.equals(content(size)), `${size} bytes`)
    })
  })
}

/** Every kind of output: bytes, tables, JSON, help, a script, candidates for a shell. */
const COMMANDS = [
  'export app:1',
  'export app:1 --format oci-archive --compress gzip',
  'export --layer app:1#0',
  'diff --tar app:1#0 app:1',
  'diff app:1',
  'diff app:1 --stat',
  'diff app:1 --content',
  'ls -R app:1',
  '--json ls -R app:1',
  'inspect app:1',
  '--json layers',
  'tree',
  'images',
  'check',
  'completion bash',
  'import --help',
  '--version',
  '__complete export ',
]

for (const reader of READERS.filter(({ late, pipe }) => late === true && pipe === 4096)) {
  test(`the output of any command reaches ${reader.title} completely`, async () => {
    await atOnce(COMMANDS, async (line) => {
      const words = line.split(' ')
      const file = join(work, `told-${line.replaceAll(/\W/g, '-')}`)
      await toFile(words, file)
      const expected = readFileSync(file)
      const { status, bytes, rest } = await hear(words, reader, { root })
      assert.deepEqual([status, rest, bytes.length], [0, '', expected.length], line)
      assert.ok(bytes.equals(expected), line)
    })
  })
}

test('a layer of the size that was once cut off arrives complete twelve times in a row', async () => {
  const layers = await varve.json<{ diffId?: string; tarSize?: number }>('layers')
  const layer = layers.find(({ tarSize }) => tarSize === 266_240)?.diffId ?? assert.fail()
  const late = READERS.filter((reader) => reader.late === true)
  await atOnce([...Array(12).keys()], async (i) => {
    const { status, bytes } = await hear(
      ['export', '--layer', layer],
      late[i % late.length] ?? assert.fail(),
      { root },
    )
    assert.deepEqual([status, bytes.length], [0, 266_240])
  })
})

test('the error message reaches a late reader completely', async () => {
  for (const reader of READERS.filter(({ late }) => late === true)) {
    const long = 'x'.repeat(9000)
    const { status, bytes } = await hear([long], reader, { root, what: 'stderr' })
    assert.deepEqual([status, bytes.toString().includes(`'${long}'`)], [2, true])
  }
})

test('a reader that goes away ends a command quietly, as it ends cat', async () => {
  for (const line of [
    'export app:1',
    'cat app:1 sized/524288',
    'diff --tar app:1#0 app:1',
    'ls -R app:1',
    'images',
  ]) {
    const pipe = makePipe()
    closeSync(pipe.read)
    const child = spawn(process.execPath, [CLI, ...line.split(' ')], {
      stdio: ['ignore', pipe.write, 'pipe'],
      env: ENV,
    })
    closeSync(pipe.write)
    const said: string[] = []
    child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
    assert.deepEqual([await endOf(child), said.join('')], [141, ''], line)
  }
})

test('a device that accepts nothing is an error for every command that prints something', async () => {
  await atOnce(COMMANDS, async (line) => {
    const full = openSync('/dev/full', 'w')
    const child = spawn(process.execPath, [CLI, ...line.split(' ')], {
      stdio: ['ignore', full, 'pipe'],
      env: ENV,
    })
    closeSync(full)
    const said: string[] = []
    child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
    assert.equal(await endOf(child), 8, line)
    assert.match(
      said.join(''),
      /^[^\n]*(write|export) to standard output: ENOSPC: no space left on device[^\n]*\n$/,
      line,
    )
  })
})

test('a message that can not be written does not change the status', () => {
  const full = openSync('/dev/full', 'w')
  const { status } = spawnSync(process.execPath, [CLI, 'inspect', 'nothing'], {
    stdio: ['ignore', 'ignore', full],
    env: ENV,
  })
  closeSync(full)
  assert.equal(status, 3)
})

test('a partial write to a nearly full disk is an error', { skip: NEEDS_ROOT }, async () => {
  const small = join(work, 'small')
  mkdirSync(small)
  for (const line of [
    'cat app:1 sized/266241',
    'export --layer app:1#0',
    'export app:1',
    '--json ls -R app:1',
  ]) {
    const words = line.split(' ')
    const whole = join(work, 'whole')
    await toFile(words, whole)
    // There is room for a part of the last write, so the kernel makes a short write.
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${roomFor(statSync(whole).size)}`, 'varve-test', small])
    try {
      const file = openSync(join(small, 'file'), 'w')
      const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], {
        stdio: ['ignore', file, 'pipe'],
        env: ENV,
        encoding: 'utf8',
      })
      closeSync(file)
      assert.equal(status, 8, `${line}: ${stderr}`)
      assert.match(stderr, /ENOSPC/)
    } finally {
      execFileSync('umount', [small])
    }
  }
})

/** The size of a tmpfs that holds all but the last page of `size` bytes. */
function roomFor(size: number): number {
  return Math.floor((size - 1) / 4096) * 4096
}

async function toFile(words: readonly string[], file: string): Promise<void> {
  const fd = openSync(file, 'w')
  const child = spawn(process.execPath, [CLI, ...words], {
    stdio: ['ignore', fd, 'inherit'],
    env: ENV,
  })
  closeSync(fd)
  assert.equal(await endOf(child), 0, words.join(' '))
}

/** Runs `work` for three at a time. */
async function atOnce<T>(list: readonly T[], work: (each: T) => Promise<void>): Promise<void> {
  const left = [...list]
  const take = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await work(next)
  }
  await Promise.all([take(), take(), take()])
}
