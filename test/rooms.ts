/**
 * The rooms of the sources and what they import, including types, read from the sources. A room is a folder; a file that is
 * listed by itself (`core/store.ts`) is one too. test/imports.test.ts enforces the order, core/README.md shows it.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { checkoutDirectory } from '../fixtures/cache.js'

export interface Source {
  /** Relative to the checkout: `core/tar/parse.ts`. */
  readonly path: string
  readonly text: string
  /** Our files that it imports, including types and `import()`. */
  readonly local: readonly string[]
  /** Packages and node: modules, except those from which it imports only types or constants. */
  readonly external: readonly string[]
}

/** From the top down: a room imports only rooms below it. */
export const FLOORS: readonly string[] = [
  // The command.
  'cli',
  'cli/commands',
  'cli/serve/containerd',
  'cli/serve/docker',
  'cli/serve',
  'cli/args',
  'cli/print',
  // The backends.
  'drivers/all.ts',
  'drivers/kit.ts',
  'drivers/aufs',
  'drivers/btrfs',
  'drivers/devicemapper',
  'drivers/overlay',
  'drivers/vfs',
  'drivers/zfs',
  // Shared by several of them.
  'drivers/overlayfs',
  'drivers',
  // The core: the store, and what it does with layers and images.
  'core/store.ts',
  'core/face',
  'core/check',
  'core/recover',
  'core/engines',
  'core/engines/filter',
  'core/inspect',
  'core/images',
  'core/layers',
  'core/damage',
  'core/file-index',
  'core/mount',
  'core/root',
  'core/graph',
  'core/records',
  // Trees, archives and the database.
  'core/heal',
  'core/extract',
  'core/pack',
  'core/tree',
  'core/formats/write',
  'core/formats/read',
  'core/formats',
  'core/compress',
  'core/db',
  'core/journal',
  // The foundation of all.
  'core/api',
  'core/sys/mount',
  'core/sys',
  'core/driver.ts',
  'core/threads',
  'core/tar',
  'core',
]

/** The room of a file. */
export function roomOf(path: string): string {
  return FLOORS.includes(path) ? path : dirname(path)
}

export function readAllSources(): readonly Source[] {
  return ['core', 'drivers', 'cli'].flatMap((folder) => {
    const root = checkoutDirectory()
    return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => parse(`${folder}/${name}`, readFileSync(join(root, folder, name), 'utf8')))
  })
}

/** Markdown with a line for each room of core, from the top down: its number of files, and the rooms that it imports. */
export function roomsDiagram(sources: readonly Source[] = readAllSources()): string {
  const rooms = FLOORS.filter((room) => room.startsWith('core'))
  const lines = rooms.map((room) => {
    const own = sources.filter(({ path }) => roomOf(path) === room)
    const used = new Set(own.flatMap(({ local }) => local.map(roomOf)))
    const below = rooms.filter((each) => each !== room && used.has(each)).map(nameOf)
    return `${nameOf(room).padEnd(16)}${String(own.length).padStart(3)}  ${below.join(' ')}`.trimEnd()
  })
  return ['```', 'room          files  imports', ...lines, '```'].join('\n')
}

function nameOf(room: string): string {
  if (room === 'core') return '*.ts'
  return `${room.slice('core/'.length)}${room.endsWith('.ts') ? '' : '/'}`
}

function parse(path: string, text: string): Source {
  const local: string[] = []
  const external: string[] = []
  const statement = /^(?:import|export)\s+(type\s)?(?:([^'";]*?)\sfrom\s+)?'([^']+)'|\bimport\('([^']+)'\)/gm
  for (const [, isType, names, from, dynamic] of text.matchAll(statement)) {
    const target = from ?? dynamic ?? ''
    if (target.startsWith('.')) local.push(normalize(join(dirname(path), target)).replace(/\.js$/, '.ts'))
    else if (isType === undefined && names?.trim() !== '{ constants }') external.push(target)
  }
  return { path, text, local, external }
}
