/** The backends that a service is tested on, each with a directory on a suitable file system. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { missingCommands } from '../../fixtures/command.js'
import { openFileSystem, whyNoFileSystem } from '../support/file-system.js'
import { NEEDS_ROOT } from '../support/needs-root.js'

export interface ServeCell {
  readonly driver: string
  /** Why it can't be tested here; false where it can. */
  readonly skip: string | false
  /** Runs `use` with a new empty directory, which is removed afterwards. */
  within<T>(use: (place: string) => Promise<T>): Promise<T>
}

export const SERVE_CELLS: readonly ServeCell[] = [
  { driver: 'overlay', skip: NEEDS_ROOT, within: withinTemporary },
  { driver: 'vfs', skip: NEEDS_ROOT, within: withinTemporary },
  { driver: 'btrfs', skip: whyNoFileSystem('btrfs') ?? false, within: withinBtrfs },
]

/** Why an engine that needs `commands` can't be tested on this cell; false where it can. */
export function whyNoEngine({ skip }: ServeCell, commands: readonly string[]): string | false {
  const missing = missingCommands(commands)
  return skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)
}

async function withinTemporary<T>(use: (place: string) => Promise<T>): Promise<T> {
  const place = mkdtempSync(join(tmpdir(), 'vs-'))
  try {
    return await use(place)
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

async function withinBtrfs<T>(use: (place: string) => Promise<T>): Promise<T> {
  const fileSystem = openFileSystem('btrfs', { size: '4G' })
  try {
    const place = join(fileSystem.path, 'p')
    mkdirSync(place)
    return await use(place)
  } finally {
    fileSystem.close()
  }
}
