/**
 * `npm run bench`: varve against GNU tar, find and other engines, by turns in one run on one file system. What counts
 * is the ratio; the seconds are this machine's and this hour's. $BENCH_DIR chooses another file system, $ROUNDS how often.
 * Ends with 0 also where a target is missed.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory } from '../../fixtures/cache.js'
import { command, missingCommands } from '../../fixtures/command.js'
import { worldCommand } from '../../fixtures/world.js'
import { CLI, varveAt } from '../varve.js'
import { bigLayer } from './layer.js'
import { byTurns, type Contender, type Measured } from './measure.js'

interface Row {
  readonly what: string
  readonly ours: Measured
  readonly theirs: Measured
  /** Highest ratio wanted; undefined where there is no target. */
  readonly target?: number
}

const ROUNDS = Number(process.env.ROUNDS ?? 5)
const DRIVER = process.getuid?.() === 0 ? 'overlay' : 'vfs'

const layer = await bigLayer()
// Beside the fixtures: on the checkout's file system, where /tmp may be memory.
const work = mkdtempSync(join(process.env.BENCH_DIR ?? cacheDirectory(), '.bench-'))
const fileSystem = (await command('stat', ['-f', '-c', '%T', work])).trim()
const entries = (await command('tar', ['-tf', layer.tar])).split('\n').length - 1
const megabytes = statSync(layer.tar).size / 1e6
console.log(
  `layer: ${megabytes.toFixed(0)} MB, ${entries} entries; ${DRIVER} on ${fileSystem}; median of ${ROUNDS}\n`,
)

try {
  const rows = [...(await imports()), ...(await reading()), ...(await start()), ...(await peers())]
  print(rows)
} finally {
  rmSync(work, { recursive: true, force: true })
}

async function imports(): Promise<Row[]> {
  const [varve, tar, tarSync, varveGz, tarGz] = await byTurns(ROUNDS, [
    importer('varve import --layer', ['import', '--layer', layer.tar]),
    extractor('tar -x', ['tar', '-xf', layer.tar]),
    extractor('tar -x && sync -f', ['sh', '-ec', 'tar -xf "$0" -C "$2" && sync -f "$2"', layer.tar]),
    importer('varve import --layer, gzip', ['import', '--layer', layer.gzip]),
    extractor('tar -xz', ['tar', '-xzf', layer.gzip]),
  ])
  return [
    row('import a layer (both digests, durable)', varve, tar, 1.5),
    row('the same against tar and sync', varve, tarSync, 1.5),
    row('import a gzip layer', varveGz, tarGz, 1.5),
  ]
}

async function reading(): Promise<Row[]> {
  const root = join(work, 'read')
  const tree = join(work, 'tree')
  mkdirSync(root, { mode: 0o700 })
  mkdirSync(tree)
  const { varve } = varveAt(root, DRIVER)
  const chain = (await varve('import', '--layer', layer.tar)).trim()
  await command('tar', ['-xf', layer.tar, '-C', tree])
  await varve('create', '--parent', chain, '--id', 'work')
  const [ls, find, exported, tar, diff] = await byTurns(ROUNDS, [
    ours('varve ls -R', root, ['ls', '-R', chain]),
    { name: 'find -ls', run: ['find', tree, '-ls'] },
    ours('varve export --layer', root, ['export', '--layer', chain, '-o', join(work, 'exported.tar')]),
    { name: 'tar -c', run: ['tar', '-cf', join(work, 'packed.tar'), '-C', tree, '.'] },
    ours('varve diff (nothing changed)', root, ['diff', 'work']),
  ])
  await varve('rm', 'work')
  return [
    row('list all entries', ls, find),
    row('export a layer, verified', exported, tar),
    row('diff of an unchanged writable layer, against find over its files', diff, find),
  ]
}

async function start(): Promise<Row[]> {
  const [varve, node] = await byTurns(ROUNDS * 4, [
    { name: 'varve --version', run: [process.execPath, CLI, '--version'] },
    { name: 'node -e 0', run: [process.execPath, '-e', '0'] },
  ])
  return [row('start', varve, node, 2)]
}

/** The same image from archive to store, by engines that are here. */
async function peers(): Promise<Row[]> {
  if (process.getuid?.() !== 0) return []
  const place = join(work, 'peer')
  const own = {
    before: () => mkdirSync(place),
    after: () => rmSync(place, { recursive: true, force: true }),
  }
  const storage = [
    '--root',
    join(place, 'root'),
    '--runroot',
    '/run/varve-bench', // podman takes at most 50 characters; /run is the world's own
    '--storage-driver',
    'overlay',
  ]
  const podman = [
    'podman',
    ...storage,
    '--tmpdir',
    join(place, 'tmp'),
    'load',
    '-q',
    '-i',
    layer.dockerArchive,
  ]
  const all: readonly { readonly needs: string; readonly contender: Contender; readonly source: string }[] = [
    {
      needs: 'podman',
      source: layer.dockerArchive,
      contender: { name: 'podman load', run: worldCommand(podman), env: { TMPDIR: work }, ...own },
    },
    {
      needs: 'umoci',
      source: layer.layout,
      contender: {
        name: 'umoci unpack',
        run: ['umoci', 'unpack', '--image', `${layer.layout}:1`, join(place, 'b')],
        ...own,
      },
    },
    {
      needs: 'skopeo',
      source: layer.dockerArchive,
      contender: {
        name: 'skopeo copy to an OCI layout',
        run: worldCommand([
          'skopeo',
          '--insecure-policy',
          'copy',
          '-q',
          `docker-archive:${layer.dockerArchive}`,
          `oci:${place}/o:1`,
        ]),
        ...own,
      },
    },
  ]
  const rows: Row[] = []
  for (const { needs, contender, source } of all) {
    if (missingCommands([needs]).length > 0) continue
    const [varve, peer] = await byTurns(Math.min(ROUNDS, 3), [
      importer('varve import', ['import', source]),
      contender,
    ])
    rows.push(row(`import an image, against ${contender.name}`, varve, peer))
  }
  return rows
}

/** An empty directory, on a file system that has nothing left to write of the run before. */
async function fresh(directory: string): Promise<void> {
  mkdirSync(directory, { mode: 0o700 })
  await command('sync', ['-f', directory])
}

function importer(name: string, args: readonly string[]): Contender {
  const root = join(work, 'import')
  return {
    ...ours(name, root, args),
    before: () => fresh(root),
    after: () => rmSync(root, { recursive: true, force: true }),
  }
}

function extractor(name: string, words: readonly string[]): Contender {
  const directory = join(work, 'extract')
  return {
    name,
    before: () => fresh(directory),
    run: words[0] === 'tar' ? [...words, '-C', directory] : [...words, '-', directory],
    after: () => rmSync(directory, { recursive: true, force: true }),
  }
}

function ours(name: string, root: string, args: readonly string[]): Contender {
  return { name, run: [process.execPath, CLI, '--root', root, '--driver', DRIVER, ...args] }
}

function row(what: string, ours: Measured | undefined, theirs: Measured | undefined, target?: number): Row {
  if (ours === undefined || theirs === undefined) throw new Error(`${what} was not measured`)
  return { what, ours, theirs, ...(target === undefined ? {} : { target }) }
}

function print(rows: readonly Row[]): void {
  for (const { what, ours, theirs, target } of rows) {
    const ratio = ours.seconds / theirs.seconds
    const mark = target === undefined ? ' ' : ratio <= target ? '✔' : '✖'
    const wanted = target === undefined ? '' : `, wanted at most ${target}`
    console.log(`${mark} ${what}: ${ratio.toFixed(2)} ×${wanted}`)
    console.log(
      `    ${ours.name} ${ours.seconds.toFixed(3)} s, ${theirs.name} ${theirs.seconds.toFixed(3)} s`,
    )
  }
  const peak = Math.max(...rows.map(({ ours }) => ours.peakMib ?? 0))
  console.log(
    `${peak < 200 ? '✔' : '✖'} highest memory of any varve command: ${peak.toFixed(0)} MiB, wanted less than 200`,
  )
}
