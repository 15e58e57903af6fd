/** The package as npm packs it, installed in an empty directory: what it exports works there, with types. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkoutDirectory } from '../fixtures/cache.js'
import { writeSmallImage } from '../fixtures/small.js'
import { readAllSources } from './rooms.js'
import { NEEDS_ROOT } from './support/needs-root.js'
import { COMPILED, reachable } from './support/reachable.js'

const CHECKOUT = checkoutDirectory()
const PACKAGE = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}

describe('the package', () => {
  let place = ''
  let packed: readonly string[] = []

  before(() => {
    place = mkdtempSync(join(tmpdir(), 'varve-package-'))
    packed = install(place)
  })
  after(() => rmSync(place, { recursive: true, force: true }))

  it('has the files of its exports, the whole conformance suite, and no test.', () => {
    const targets = Object.values(PACKAGE.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : [target.types, target.default],
    )
    assert.deepEqual(
      targets.filter((target) => !packed.includes(target.replace('./', ''))),
      [],
    )
    // The suite's command, and the processes that its cases start.
    const mains = ['main', 'maker-main', 'reader-main'].map((name) => `test/conformance/${name}.js`)
    const files = new Set(mains.flatMap((main) => reachable(join(COMPILED, main)).files))
    const wanted = [...files].filter((file) => file.startsWith('test/')).sort()
    assert.ok(wanted.includes('test/conformance/suite.js'))
    assert.deepEqual(
      packed.filter((path) => path.startsWith('dist/test/') && hasSource(path)),
      wanted.flatMap((file) => [`dist/${file.replace(/js$/, 'd.ts')}`, `dist/${file}`]).sort(),
    )
  })

  it('has types for each of its exports.', () => {
    writeFileSync(join(place, 'types.mts'), TYPES)
    const compiler = join(CHECKOUT, 'node_modules/typescript/bin/tsc')
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      '--lib',
      'es2023',
      '--types',
      'node',
    ]
    run(place, [compiler, ...options, 'types.mts'])
  })

  it('runs the README’s example, which prints names that are not ASCII.', async () => {
    const [, example = ''] =
      /\n## As a library\n[\s\S]*?```ts\n([\s\S]*?)```/.exec(
        readFileSync(join(CHECKOUT, 'README.md'), 'utf8'),
      ) ?? []
    assert.match(example, /'\/var\/lib\/varve'[\s\S]*'alpine\.tar'/)
    await writeSmallImage(join(place, 'alpine.tar'))
    writeFileSync(join(place, 'example.mjs'), example.replace("'/var/lib/varve'", "'root'"))
    const lines = run(place, ['example.mjs']).split('\n')
    assert.deepEqual(
      lines.filter((line) => /größe|\/7$|links$/.test(line)),
      ['delete srv/data/7', 'add srv/größe', 'add srv/links'],
    )
  })

  it('runs the suite on a driver that is made with the driver kit alone.', { skip: NEEDS_ROOT }, () => {
    for (const name of readdirSync(join(COMPILED, 'test/conformance/toy'))) {
      if (!name.endsWith('.js')) continue
      const text = readFileSync(join(COMPILED, 'test/conformance/toy', name), 'utf8')
      writeFileSync(join(place, name), text.replaceAll('../../../drivers/kit.js', 'varve/driver-kit'))
    }
    mkdirSync(join(place, 'data'))
    writeFileSync(join(place, 'suite.mjs'), SUITE)
    assert.deepEqual(JSON.parse(run(place, ['suite.mjs'])), { selected: 1, results: ['passed'] })
  })

  it('serves both engines at a socket.', () => {
    writeFileSync(join(place, 'serve.mjs'), SERVE)
    const [docker, containerd] = run(place, ['serve.mjs']).trim().split('\n')
    assert.deepEqual(JSON.parse(docker ?? ''), { Implements: ['GraphDriver'] })
    assert.equal(containerd, 'connected')
    assert.deepEqual(
      readdirSync(place).filter((name) => name.endsWith('.sock')),
      [],
    )
  })
})

it('The driver kit has each file that drivers/README.md tells an author to use.', () => {
  const kit = readAllSources().find(({ path }) => path === 'drivers/kit.ts')
  const readme = readFileSync(join(CHECKOUT, 'drivers/README.md'), 'utf8')
  const told = [...readme.matchAll(/^\|.*\| `([\w/-]+\.ts)` +\|$/gm)].map(([, path = '']) =>
    [path, `drivers/${path}`, `drivers/overlayfs/${path}`].find((each) => existsSync(join(CHECKOUT, each))),
  )
  assert.ok(told.length > 10, `${told}`)
  assert.deepEqual(
    told.filter((path) => path === undefined || !kit?.local.includes(path)),
    [],
  )
})

/** Packs the checkout as it is built, and unpacks it as npm would, with what it depends on; the paths in it. */
function install(directory: string): readonly string[] {
  const words = ['pack', '--ignore-scripts', '--json', '--pack-destination', directory]
  const env = {
    ...process.env,
    npm_config_cache: join(directory, 'npm'),
    npm_config_update_notifier: 'false',
  }
  const stdio = ['ignore', 'pipe', 'pipe'] as const
  const told = execFileSync('npm', words, { cwd: CHECKOUT, encoding: 'utf8', env, stdio: [...stdio] })
  const [pack] = JSON.parse(told) as {
    readonly filename: string
    readonly files: { readonly path: string }[]
  }[]
  assert.ok(pack)
  const home = join(directory, 'node_modules/varve')
  mkdirSync(home, { recursive: true })
  execFileSync('tar', ['-xf', join(directory, pack.filename), '-C', home, '--strip-components=1'])
  for (const name of [...Object.keys(PACKAGE.dependencies), '@types/node']) {
    const link = join(directory, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(CHECKOUT, 'node_modules', name), link)
  }
  return pack.files.map(({ path }) => path).sort()
}

/** A build in a checkout keeps what older sources left in dist/; npm packs a clean one. */
function hasSource(path: string): boolean {
  return existsSync(join(CHECKOUT, path.replace(/^dist\//, '').replace(/(\.d\.ts|\.js)$/, '.ts')))
}

function run(directory: string, words: readonly string[]): string {
  try {
    return execFileSync(process.execPath, words, { cwd: directory, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${words.join(' ')}: ${stdout}${stderr}`, { cause: error })
  }
}

const TYPES = `import { type Digest, driverVerdicts, isCode, openStore, parseDigest, type Store, toText } from 'varve'
import { type Cell, type Outcome, runSuite, selectCases } from 'varve/conformance'
import { type Driver, type DriverModule, extract, withTemporary } from 'varve/driver-kit'
import { drivers } from 'varve/drivers'
import { containerdService, dockerService, type Service, serve } from 'varve/serve'

export const store: Store = await openStore({ root: '/var/lib/varve', drivers })
export const diffId: Digest = parseDigest('sha256:')
export const shown: string = toText('caf\\xc3\\xa9')
export const module: DriverModule | undefined = drivers[0]
export const open: (() => Promise<Driver>) | undefined = undefined
export const cell: Pick<Cell, 'options'> = { options: {} }
export const services: readonly Service[] = [containerdService({ name: 'a' }), dockerService({ drivers, storageOptions: [] })]
export async function results(cell: Cell): Promise<readonly Outcome['result'][]> {
  const found: Outcome['result'][] = []
  for await (const { result } of runSuite(cell, { seed: 1, scripts: selectCases().length })) found.push(result)
  return found
}
export const kit = { extract, withTemporary, driverVerdicts, isCode }
await serve(containerdService(), { store, signal: AbortSignal.timeout(1) })
// @ts-expect-error a digest is parsed, not written
export const wrong: Digest = 'sha256:'
`

const SUITE = `import { runSuite, selectCases } from 'varve/conformance'
import { toy } from './driver.js'
const only = ['driver: an empty layer']
const results = []
const cell = { name: 'toy here', module: toy, options: {}, root: process.cwd() + '/data' }
for await (const { result, reason } of runSuite(cell, { only, seed: 1, scripts: 1 })) results.push(reason ?? result)
console.log(JSON.stringify({ selected: selectCases(only).length, results }))
`

const SERVE = `import { request } from 'node:http'
import { connect } from 'node:net'
import { openStore } from 'varve'
import { drivers } from 'varve/drivers'
import { containerdService, dockerService, serve } from 'varve/serve'
const asking = {
  docker: (socketPath) =>
    new Promise((resolve, reject) => {
      const asked = request({ socketPath, path: '/Plugin.Activate', method: 'POST' }, async (response) => {
        let text = ''
        for await (const part of response) text += part
        resolve(text)
      })
      asked.on('error', reject).end()
    }),
  containerd: (path) =>
    new Promise((resolve, reject) => {
      const socket = connect(path, () => socket.end(() => resolve('connected')))
      socket.on('error', reject)
    }),
}
for (const service of [dockerService({ drivers, storageOptions: [] }), containerdService()]) {
  const store = await openStore({ root: 'served', drivers, driver: 'vfs', engine: service.name })
  const stop = new AbortController()
  const socket = process.cwd() + '/' + service.name + '.sock'
  const ready = () => asking[service.name](socket).then(console.log).finally(() => stop.abort())
  await serve(service, { store, socket, signal: stop.signal, readiness: { ready, stopping() {} } })
  await store.close()
}
`
