/** The cells that a Linux with these file systems must run: what `npm test` fails without. */
import type { FileSystemKind } from '../support/file-system.js'
import { SCRIPTS } from './suite.js'

export interface CellName {
  readonly driver: string
  readonly kind: FileSystemKind
}

export const CELLS: readonly CellName[] = [
  { driver: 'overlay', kind: 'ext4' },
  { driver: 'overlay', kind: 'xfs' },
  { driver: 'overlay', kind: 'btrfs' },
  { driver: 'overlay', kind: 'tmpfs' },
  { driver: 'vfs', kind: 'ext4' },
  { driver: 'vfs', kind: 'xfs' },
  { driver: 'vfs', kind: 'btrfs' },
  { driver: 'vfs', kind: 'tmpfs' },
  { driver: 'btrfs', kind: 'btrfs' },
]

/** Of a backend: its cells share the random edit scripts, each with a seed of its own. */
export function scriptsOfCell({ driver }: CellName): number {
  return Math.ceil(SCRIPTS / CELLS.filter((cell) => cell.driver === driver).length)
}

export const nameOfCell = ({ driver, kind }: CellName): string => `${driver} on ${kind}`
export const fileOfCell = ({ driver, kind }: CellName): string => `${driver}-on-${kind}`

/** What a case may say instead of running, by backend: anything else is a failure here. */
export const MAY_BE_IMPOSSIBLE: readonly { readonly cell: RegExp; readonly reason: RegExp }[] = [
  { cell: /^(overlay|vfs) on /, reason: /quota|readonlySeal/ },
  { cell: /^vfs on /, reason: /sharing/ },
]
