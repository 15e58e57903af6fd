/** The varve command against tar, find and other engines. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { command, missingCommands } from '../../fixtures/command.js'
import { worldCommand } from '../../fixtures/world.js'
import { CLI, varveAt } from '../support/varve.js'
import type { BigLayer, SmallLayers } from './layer.js'
import { byTurns, type Contender } from './measure.js'
import { type Row, row } from './report.js'

export interface Setting {
  /** A directory for the bench's files. */
  readonly work: string
  readonly driver: string
  readonly rounds: number
}

export async function imports(setting: Setting, layer: BigLayer): Promise<Row[]> {
  const [varve, tar, tarSync, varveGz, tarGz] = await byTurns(setting.rounds, [
    importer(setting, 'varve import --layer', ['import', '--layer', layer.tar]),
    extractor(setting, 'tar -x', ['tar', '-xf', layer.tar]),
    extractor(setting, 'tar -x && sync -f', ['sh', '-ec', 'tar -xf "$0" -C "$2" && sync -f "$2"', layer.tar]),
    importer(setting, 'varve import --layer, gzip', ['import', '--layer', layer.gzip]),
    extractor(setting, 'tar -xz', ['tar', '-xzf', layer.gzip]),
  ])
  return [
    row('import a layer (both digests, durable)', varve, tar, 1.5),
    row('the same against tar and sync', varve, tarSync, 1.5),
    row('import a gzip layer', varveGz, tarGz, 1.5),
  ]
}

/** Measures the fixed cost of each layer rather than of its bytes. */
export async function smallImports(setting: Setting, { tars, dockerArchive }: SmallLayers): Promise<Row[]> {
  const each = 'for tar in "$@"; do tar -xf "$tar" -C "$0"'
  const unpack = (name: string, script: string): Contender => {
    const directory = join(setting.work, 'extract')
    return { ...extractor(setting, name, []), run: ['sh', '-ec', script, directory, ...tars] }
  }
  const [varve, tar, tarSync] = await byTurns(setting.rounds, [
    importer(setting, 'varve import', ['import', dockerArchive]),
    unpack(`${tars.length} tar -x`, `${each}; done`),
    unpack(`${tars.length} tar -x && sync -f`, `${each} && sync -f "$0"; done`),
  ])
  const what = `import an image of ${tars.length} small layers`
  return [row(what, varve, tar), row('the same against tar and sync', varve, tarSync)]
}

export async function reading(setting: Setting, layer: BigLayer): Promise<Row[]> {
  const { work, driver, rounds } = setting
  const root = join(work, 'read')
  const tree = join(work, 'tree')
  mkdirSync(root, { mode: 0o700 })
  mkdirSync(tree)
  const { varve } = varveAt(root, driver)
  const chain = (await varve('import', '--layer', layer.tar)).trim()
  await command('tar', ['-xf', layer.tar, '-C', tree])
  await varve('create', '--parent', chain, '--id', 'work')
  const [ls, find, exported, tar, diff] = await byTurns(rounds, [
    ours(setting, 'varve ls -R', root, ['ls', '-R', chain]),
    { name: 'find -ls', run: ['find', tree, '-ls'] },
    ours(setting, 'varve export --layer', root, [
      'export',
      '--layer',
      chain,
      '-o',
      join(work, 'exported.tar'),
    ]),
    { name: 'tar -c', run: ['tar', '-cf', join(work, 'packed.tar'), '-C', tree, '.'] },
    ours(setting, 'varve diff (nothing changed)', root, ['diff', 'work']),
  ])
  await varve('rm', 'work')
  return [
    row('list all entries', ls, find),
    row('export a layer, verified', exported, tar),
    row('diff of an unchanged writable layer, against find over its files', diff, find),
  ]
}

export async function start({ rounds }: Setting): Promise<Row[]> {
  const [varve, node] = await byTurns(rounds * 4, [
    { name: 'varve --version', run: [process.execPath, CLI, '--version'] },
    { name: 'node -e 0', run: [process.execPath, '-e', '0'] },
  ])
  return [row('start', varve, node, 2)]
}

/** Imports of the same image from an archive, by the engines that are installed. */
export async function peers(setting: Setting, layer: BigLayer): Promise<Row[]> {
  if (process.getuid?.() !== 0) return []
  const { work, rounds } = setting
  const place = join(work, 'peer')
  const own = {
    before: () => mkdirSync(place),
    after: () => rmSync(place, { recursive: true, force: true }),
  }
  const storage = [
    '--root',
    join(place, 'root'),
    '--runroot',
    '/run/varve-bench', // podman accepts at most 50 characters; the world has its own /run
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
    const [varve, peer] = await byTurns(Math.min(rounds, 3), [
      importer(setting, 'varve import', ['import', source]),
      contender,
    ])
    rows.push(row(`import an image, against ${contender.name}`, varve, peer))
  }
  return rows
}

/** A contender that runs a varve command. */
export function ours(
  { driver }: Pick<Setting, 'driver'>,
  name: string,
  root: string,
  args: readonly string[],
): Contender {
  return { name, run: [process.execPath, CLI, '--root', root, '--driver', driver, ...args] }
}

/** Empties the directory, and waits until the file system has written everything of the run before. */
async function fresh(directory: string): Promise<void> {
  mkdirSync(directory, { mode: 0o700 })
  await command('sync', ['-f', directory])
}

function importer(setting: Setting, name: string, args: readonly string[]): Contender {
  const root = join(setting.work, 'import')
  return {
    ...ours(setting, name, root, args),
    before: () => fresh(root),
    after: () => rmSync(root, { recursive: true, force: true }),
  }
}

function extractor({ work }: Setting, name: string, words: readonly string[]): Contender {
  const directory = join(work, 'extract')
  return {
    name,
    before: () => fresh(directory),
    run: words[0] === 'tar' ? [...words, '-C', directory] : [...words, '-', directory],
    after: () => rmSync(directory, { recursive: true, force: true }),
  }
}
