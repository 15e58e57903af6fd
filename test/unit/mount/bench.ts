/** A new file system with shared propagation, and a store in it whose layer `work` can be mounted. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { openFileSystem, whyNoFileSystem } from '../../support/file-system.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'

export interface Opened {
  readonly store: Store
  readonly warnings: readonly string[]
}

export interface Bench {
  /** The mount point of the file system. */
  readonly folder: string
  readonly root: string
  /** Opens the store by any path; it is closed at the end. */
  open(root: string): Promise<Opened>
  /** Creates the layer `work`, mounts it at the store's own mount point, and writes `file` there. */
  mountWork(store: Store): Promise<string>
}

/** The reason to skip tests that mount layers of that driver. */
export function whySkip(driver: string): string | false {
  return NEEDS_ROOT || (driver === 'btrfs' && whyNoFileSystem('btrfs')) || false
}

export async function onBench(driver: string, use: (bench: Bench) => Promise<void>): Promise<void> {
  const { path: folder, close } = openFileSystem(driver === 'btrfs' ? 'btrfs' : 'tmpfs', { size: '512M' })
  const opened: Store[] = []
  try {
    run('mount', '--make-shared', folder)
    const root = join(folder, 'root')
    mkdirSync(root, { mode: 0o700 })
    await use({
      folder,
      root,
      async open(path) {
        const warnings: string[] = []
        const warn = (message: string) => void warnings.push(message)
        const store = await openStore({ root: path, drivers, driver, warn })
        opened.push(store)
        return { store, warnings }
      },
      async mountWork(store) {
        await store.create({ id: 'work' })
        const { path } = await store.mount('work')
        writeFileSync(join(path, 'file'), 'kept\n')
        return path
      },
    })
  } finally {
    for (const store of opened) await store.close()
    for (const target of mountsBelow(folder)) if (target !== folder) run('umount', '-l', target)
    close()
  }
}

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' })
}

export async function problems(store: Store): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { check, subject, message } of store.check()) found.push(`${check} ${subject}: ${message}`)
  return found
}

export const refusal = (words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === 'FAILED_PRECONDITION' && words.test(error.message)

/** Mount points below a folder, the innermost first. */
export function mountsBelow(folder: string): string[] {
  const targets = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
  return targets.filter((target) => `${target}/`.startsWith(`${folder}/`)).reverse()
}
