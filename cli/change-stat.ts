/** `varve diff --stat`: how the sizes changed, and a line that sums up. */
import type { DetailedChange, FileInfo } from '../core/model.js'
import { pad } from './table.js'
import { count, name, size } from './words.js'

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

export function statOf(change: DetailedChange): ChangeStat {
  return {
    path: change.path,
    kind: change.kind,
    before: bytesOf(change.before),
    after: bytesOf(change.after),
  }
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
  // A few long names must not push the figures off everybody's screen.
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

/** Only regular files have bytes; what a deleted directory held is not known here. */
function bytesOf(file: FileInfo | undefined): number {
  return file?.type === 'file' ? file.size : 0
}
