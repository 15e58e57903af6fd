/** The cells that must run on a Linux with these file systems; `npm test` fails without them. */
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

/** The cells of a backend share the random edit scripts among them, each with its own seed. */
export function scriptsOfCell({ driver }: CellName): number {
  return Math.ceil(SCRIPTS / CELLS.filter((cell) => cell.driver === driver).length)
}

export const nameOfCell = ({ driver, kind }: CellName): string => `${driver} on ${kind}`
export const fileOfCell = ({ driver, kind }: CellName): string => `${driver}-on-${kind}`

/** The reasons, by backend, for which a case may be impossible. Any other reason is a failure. */
export const MAY_BE_IMPOSSIBLE: readonly { readonly cell: RegExp; readonly reason: RegExp }[] = [
  { cell: /^(overlay|vfs) on /, reason: /quota|readonlySeal/ },
  { cell: /^vfs on /, reason: /sharing/ },
  { cell: /^(overlay|vfs|btrfs) on /, reason: /active/ },
]
