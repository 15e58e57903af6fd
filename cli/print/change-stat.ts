/** `varve diff --stat`: how the sizes changed, and a line with the totals. */
import { directoryOf } from '../../core/face/command.js'
import type { DetailedChange, FileInfo } from '../../core/store.js'
import { count, name, size } from './format.js'
import { pad } from './table.js'

export interface ChangeStat {
  readonly path: string
  readonly kind: DetailedChange['kind']
  readonly before: number
  readonly after: number
}

export interface StatTotal {
  readonly added: number
  readonly modified: number
  readonly deleted: number
  readonly grown: number
  readonly shrunk: number
}

/**
 * A stat for each change. A diff lists a deleted or replaced directory without what was in it. The size of its content comes
 * from `older`, all files of the older side, which is called only if there is such a directory.
 */
export async function statsOf(
  changes: AsyncIterable<DetailedChange>,
  older: () => AsyncIterable<FileInfo>,
): Promise<readonly ChangeStat[]> {
  const stats: ChangeStat[] = []
  const gone = new Map<string, number>()
  for await (const { path, kind, before, after } of changes) {
    stats.push({ path, kind, before: bytesOf(before), after: bytesOf(after) })
    if (before?.type === 'directory' && after?.type !== 'directory') gone.set(path, 0)
  }
  if (gone.size === 0) return stats
  for await (const file of older()) {
    const top = goneAbove(file.path, gone)
    if (top !== undefined) gone.set(top, (gone.get(top) ?? 0) + bytesOf(file))
  }
  return stats.map((stat) => ({ ...stat, before: gone.get(stat.path) ?? stat.before }))
}

function goneAbove(path: string, gone: ReadonlyMap<string, number>): string | undefined {
  for (let at = path; at !== ''; ) {
    at = directoryOf(at)
    if (gone.has(at)) return at
  }
  return undefined
}

export function totalOf(stats: readonly ChangeStat[]): StatTotal {
  const of = (kind: ChangeStat['kind']) => stats.filter((stat) => stat.kind === kind).length
  const deltas = stats.map((stat) => stat.after - stat.before)
  const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0)
  return {
    added: of('add'),
    modified: of('modify'),
    deleted: of('delete'),
    grown: sum(deltas.filter((delta) => delta > 0)),
    shrunk: -sum(deltas.filter((delta) => delta < 0)),
  }
}

/** ` /etc/hosts   | +1.2 KiB`, and ` 3 paths changed: 1 added, 2 modified, 0 deleted; +1.2 KiB, -10 B`. */
export function statText(stats: readonly ChangeStat[]): string {
  const names = stats.map((stat) => `/${name(stat.path)}`)
  // A few long names must not push the figures off the screen.
  const width = names.reduce((most, text) => Math.min(60, Math.max(most, text.length)), 0)
  const lines = stats.map((stat, i) => ` ${pad(names[i] ?? '', width, 'left')} | ${delta(stat)}\n`)
  const { added, modified, deleted, grown, shrunk } = totalOf(stats)
  const kinds = `${added} added, ${modified} modified, ${deleted} deleted`
  return `${lines.join('')} ${count(stats.length, 'path')} changed: ${kinds}; +${size(grown)}, -${size(shrunk)}\n`
}

function delta({ kind, before, after }: ChangeStat): string {
  const bytes = after - before
  const change = bytes === 0 ? '0 B' : `${bytes > 0 ? '+' : ''}${size(bytes)}`
  const remark = { add: '  (new)', delete: '  (gone)', modify: '' }[kind]
  return change + remark
}

/** Only regular files count. */
function bytesOf(file: FileInfo | undefined): number {
  return file?.type === 'file' ? file.size : 0
}
