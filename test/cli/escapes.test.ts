/**
 * Text from outside steers no terminal: escape sequences, C1 controls, direction marks, line breaks and invisible
 * characters, in every field of every document and every argument, through every command, for people and as JSON.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { commands } from '../../cli/registry.js'
import { run } from '../../cli/run.js'
import { createLog } from '../../cli/serve/log.js'
import { openStore, type Store } from '../../core/store.js'
import type { StandardStream } from '../../core/sys/standard.js'
import { drivers } from '../../drivers/all.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { dockerContent, imageOf, layerTar, tarOf } from '../unit/formats/build.js'
import { DOCUMENTS, EVIL, LAYERS, MADE_UP } from './evil.js'

const work = mkdtempSync(join(tmpdir(), 'varve-escapes-'))
/** The data root's name is printed too. */
const root = join(work, 'a\x1b[31m\u202e\u009b\nMADE-UP')
const lines: string[] = []

interface Said {
  readonly status: number
  readonly output: string
  readonly error: string
}

before(async () => {
  mkdirSync(root)
  const good = put('good.tar', tarOf(dockerContent([{ ...imageOf([layerTar('good')]), tags: ['good:1'] }])))
  assert.equal((await said(['import', good])).status, 0)
  await inStore(async (store) => {
    await store.create({ id: 'work', parent: 'good:1', labels: { [EVIL]: EVIL } })
    await store.snapshots.prepare(`evil/1/${EVIL}`, { labels: { [EVIL]: EVIL } })
    await store.graphDriver.create('raw')
  })
})
after(() => rmSync(work, { recursive: true, force: true }))

test('every field of every document: refused or imported, no message steers a terminal', async () => {
  for (const [i, { title, archive }] of DOCUMENTS.entries()) {
    for (const words of [
      ['import', '--name', `named-${i}:1`],
      ['--json', 'import'],
    ]) {
      steersNothing(title, await said([...words, put('evil.tar', archive)]))
    }
  }
  const images = (await said(['--json', 'images'])).output.trim().split('\n')
  // Most fields are harmless, so most images are imported and are printed below.
  assert.ok(images.length > 25, `${images.length} images of ${DOCUMENTS.length}`)
})

test('every field of a tar: refused or imported, no message steers a terminal', async () => {
  for (const { title, archive } of LAYERS) {
    for (const words of [
      ['import', '--layer'],
      ['--json', 'import', '--layer'],
    ]) {
      steersNothing(title, await said([...words, put('evil.tar', archive)]))
    }
  }
})

/**
 * The command lines to try; IMAGE, LAYER and WRITABLE stand for each existing one. Commands that need root are tried below.
 */
const LINES: Readonly<Record<string, readonly string[]>> = {
  import: [
    'import EVIL',
    'import FILE --name EVIL',
    'import FILE --platform EVIL',
    'import --layer FILE --parent EVIL',
  ],
  export: [
    'export EVIL -o OUT',
    'export --layer EVIL -o OUT',
    'export good:1 -o OUT/EVIL/x',
    'export good:1 -o EVIL/x',
  ],
  images: ['images'],
  layers: ['layers'],
  tree: ['tree', 'tree IMAGE'],
  inspect: ['inspect IMAGE', 'inspect LAYER', 'inspect EVIL'],
  info: ['info'],
  driver: ['driver ls', 'driver EVIL', 'driver ls --storage-opt EVIL', 'driver ls --driver EVIL'],
  usage: ['usage IMAGE', 'usage LAYER', 'usage EVIL'],
  ls: ['ls IMAGE -R', 'ls LAYER -R', 'ls LAYER', 'ls good:1 EVIL'],
  cat: ['cat good:1 EVIL', 'cat EVIL x'],
  diff: [
    'diff LAYER',
    'diff LAYER --stat',
    'diff LAYER --content',
    'diff good:1 IMAGE',
    'diff EVIL',
    'diff good:1 EVIL',
  ],
  create: [
    'create --id EVIL',
    'create --parent EVIL',
    'create --label EVIL',
    'create --opt EVIL=EVIL',
    'create --label EVIL=EVIL',
  ],
  mount: ['mount EVIL', 'mount good:1 OUT/EVIL'],
  umount: ['umount EVIL', 'umount work OUT/EVIL'],
  commit: ['commit EVIL', 'commit work --name EVIL'],
  tag: ['tag good:1 EVIL', 'tag EVIL x'],
  rm: ['rm EVIL'],
  prune: ['prune EVIL'],
  repair: ['repair --from EVIL', 'repair --from FILE', 'repair --from FILE EVIL'],
  check: ['check', 'check --data', 'check EVIL'],
  serve: [
    'serve EVIL',
    'serve docker --metrics EVIL',
    'serve docker --ready-fd EVIL',
    'serve docker --log-level EVIL',
  ],
  completion: ['completion EVIL', 'completion bash'],
}

test('the table has every command', () => {
  assert.deepEqual(Object.keys(LINES).sort(), commands.map(({ name }) => name).sort())
})

for (const { name } of commands) {
  test(`${name} shows nothing that steers a terminal`, async () => {
    const file = put('file.tar', tarOf(dockerContent([{ ...imageOf([layerTar('x')]), tags: ['x:1'] }])))
    const ids = await inStore(async (store) => ({
      IMAGE: store.images().map(({ id }) => id),
      LAYER: store.layers().map((layer) => layer.chainId ?? layer.id),
    }))
    for (const line of [...(LINES[name] ?? []), `${name} --EVIL`, `${name} -EVIL`, `${name} a b c d EVIL`]) {
      const each = line.includes('IMAGE') ? ids.IMAGE : line.includes('LAYER') ? ids.LAYER : ['']
      for (const id of each) {
        const words = line
          .split(' ')
          .map((word) => word.replace('IMAGE', id).replace('LAYER', id).replace('FILE', file))
          .map((word) => word.replace('OUT', join(work, 'out')).replaceAll('EVIL', EVIL))
        for (const how of [[], ['--json'], ['--quiet']]) {
          steersNothing(`${how} ${line}`, await said([...how, ...words]))
        }
      }
    }
  })
}

test('unknown commands and global options show nothing that steers a terminal', async () => {
  for (const words of [
    [EVIL],
    [`--${EVIL}`],
    ['--driver', EVIL, 'images'],
    ['help', EVIL],
    ['__complete', 'ls', ''],
    ['__complete', EVIL],
    [],
  ]) {
    steersNothing(words.join(' '), await said(words))
    steersNothing(words.join(' '), await said(['--json', ...words]))
  }
  for (const elsewhere of [join(work, 'missing', EVIL), join(work, EVIL), put('a file', '')]) {
    const streams = gather()
    await run(['--root', elsewhere, '--driver', 'vfs', 'images'], { version: '1', streams })
    steersNothing(elsewhere, { status: 0, ...streams.said() })
  }
})

test('a mount at a path of any name shows nothing that steers a terminal', { skip: NEEDS_ROOT }, async () => {
  const place = join(work, `place-${EVIL}`)
  mkdirSync(place)
  for (const words of [
    ['mount', 'work', place],
    ['layers'],
    ['tree'],
    ['check'],
    ['info'],
    ['rm', 'work'],
    ['inspect', 'work'],
    ['umount', 'work', place],
  ]) {
    for (const how of [[], ['--json']]) {
      const heard = await said([...how, ...words])
      steersNothing(words.join(' '), heard)
      if (words[0] === 'mount' || words[0] === 'umount') {
        assert.equal(heard.status, 0, heard.error)
        break
      }
    }
  }
})

test('the log of a service, as text and as JSON, has nothing that steers a terminal', () => {
  for (const json of [false, true]) {
    const log = createLog({ level: 'debug', json, write: (line) => lines.push(line) })
    log.warn(EVIL, { id: EVIL, key: EVIL, error: EVIL })
    log.error(`\ud800${EVIL}`, { stack: EVIL })
  }
  for (const line of lines) steersNothing('a line of the log', { status: 0, output: line, error: '' })
  assert.equal(lines.length, 4)
})

/** Control and format characters, line and paragraph separators, and lone surrogates, but not line breaks. */
const STEERING = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

function steersNothing(title: string, { output, error }: Said): void {
  for (const text of [output, error]) {
    const found = STEERING.exec(text)
    assert.equal(
      found,
      null,
      `${JSON.stringify(title)}: ${JSON.stringify(text.slice(found?.index ?? 0).slice(0, 200))}`,
    )
    assert.ok(
      !text.split('\n').some((line) => line.trimStart().startsWith(MADE_UP)),
      `${title}: a made-up line`,
    )
  }
  assert.doesNotMatch(error, /internal error|SysError:|SyntaxError:|TypeError:/, title)
}

async function said(words: readonly string[]): Promise<Said> {
  const streams = gather()
  const before = { root: process.env.VARVE_ROOT, driver: process.env.VARVE_DRIVER }
  process.env.VARVE_ROOT = root
  process.env.VARVE_DRIVER = 'vfs'
  try {
    const status = await run(words, { version: '1.2.3', streams })
    return { status, ...streams.said() }
  } finally {
    for (const [key, value] of Object.entries(before)) {
      const name = `VARVE_${key.toUpperCase()}`
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

function gather() {
  const texts = { output: '', error: '' }
  const stream = (to: 'output' | 'error'): StandardStream => ({
    isTerminal: false,
    async write(bytes) {
      texts[to] += typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')
    },
    drained: () => Promise.resolve(),
    isAbandoned: () => false,
  })
  return { output: stream('output'), error: stream('error'), said: () => texts }
}

async function inStore<T>(use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ root, drivers, driver: 'vfs' })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

function put(name: string, content: Buffer | string): string {
  const path = join(work, name)
  writeFileSync(path, content)
  return path
}
