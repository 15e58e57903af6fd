/** An image with an entry of every kind, imported on each backend; where its layers are on disk, and how to damage them. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { type CodeEntry, file, tarOf, writeDockerArchive } from '../../../fixtures/docker-archive.js'
import { SERVE_CELLS, type ServeCell } from '../../serve/cells.js'
import { collect } from '../../support/collect.js'

export const NAME = 'varve.test/damage:1'
export const CELLS = SERVE_CELLS

const LAYERS: readonly (readonly CodeEntry[])[] = [
  [
    { header: { name: 'etc/' } },
    { header: { name: 'etc/deep/', mode: 0o750, uid: 7, gid: 8 } },
    file('etc/deep/file', 'deep\n'),
    { header: { name: 'etc/big', mtime: new Date(1_000_000_123) }, content: 'x'.repeat(700_000) },
    { header: { name: 'etc/setuid', mode: 0o4755, uid: 1, gid: 2 }, content: 'program\n' },
    {
      header: { name: 'etc/attributes', pax: { 'SCHILY.xattr.user.key': 'value' } },
      content: 'attributes\n',
    },
    { header: { name: 'etc/link', type: 'symlink', linkname: 'big' } },
    { header: { name: 'etc/one' }, content: 'one and two\n' },
    { header: { name: 'etc/two', type: 'link', linkname: 'etc/one' } },
    { header: { name: 'etc/alone' }, content: 'one and two\n' },
    { header: { name: 'etc/device', type: 'character-device', devmajor: 1, devminor: 3 } },
    { header: { name: 'etc/pipe', type: 'fifo' } },
    file('etc/empty', ''),
    { header: { name: 'srv/' } },
    { header: { name: 'srv/cache/' } },
    file('srv/cache/old', 'stale\n'),
    file('srv/gone', 'gone\n'),
  ],
  [file('srv/middle', 'middle\n')],
  [
    { header: { name: 'srv/cache/' } },
    file('srv/cache/.wh..wh..opq', ''),
    file('srv/cache/fresh', 'fresh\n'),
    file('srv/.wh.gone', ''),
  ],
]

export interface Stage {
  readonly store: Store
  readonly root: string
  /** The archive that the image came from. */
  readonly archive: string
  readonly cell: ServeCell
  readonly warnings: string[]
  /** A directory for the test's own files. */
  readonly place: string
  /** The layer's own directory on disk. */
  directoryOf(layer: number): string
  /** Changes something in that directory, behind the store's back. */
  behind(layer: number, work: (directory: string) => void): void
  /** Closes the store and opens it again. */
  reopened(): Promise<Stage>
}

export async function onStage(cell: ServeCell, test: (stage: Stage) => Promise<void>): Promise<void> {
  await cell.within(async (place) => {
    const archive = join(place, 'image.tar')
    await writeDockerArchive(archive, NAME, await Promise.all(LAYERS.map((entries) => tarOf(entries))))
    const root = join(place, 'root')
    const open = new Set<Store>()
    const opened = async (): Promise<Stage> => {
      const warnings: string[] = []
      const warn = (message: string) => void warnings.push(message)
      const store = await openStore({ root, drivers, driver: cell.driver, warn })
      open.add(store)
      const directoryOf = (layer: number) =>
        directoryIn(root, cell.driver, store.image(NAME).layers[layer] ?? '')
      return {
        store,
        root,
        archive,
        cell,
        warnings,
        place,
        directoryOf,
        behind: (layer, work) => changeBehind(directoryOf(layer), cell.driver, work),
        async reopened() {
          await store.close()
          open.delete(store)
          return opened()
        },
      }
    }
    try {
      mkdirSync(root, 0o700)
      const stage = await opened()
      await stage.store.importImage(archive)
      await test(stage)
    } finally {
      for (const store of open) await store.close()
    }
  })
}

export function directoryIn(root: string, driver: string, layer: string): string {
  const places: Readonly<Record<string, string>> = {
    overlay: join(root, 'overlay', layer, 'diff'),
    vfs: join(root, 'vfs', 'dir', layer),
    btrfs: join(root, 'btrfs', 'subvolumes', layer),
  }
  return places[driver] ?? ''
}

/** Changes something in a layer's directory, sealed or not. */
export function changeBehind(directory: string, driver: string, work: (directory: string) => void): void {
  const setReadonly = (readonly: boolean) => {
    if (driver !== 'btrfs') return
    execFileSync('btrfs', ['property', 'set', '-f', '-ts', directory, 'ro', String(readonly)], {
      stdio: 'pipe',
    })
  }
  setReadonly(false)
  work(directory)
  if (existsSync(directory)) setReadonly(true)
}

/** The names of the checks that found something, sorted, each once, and the text of all findings. */
export async function checked(
  store: Store,
  options: Parameters<Store['check']>[0] = { data: true },
): Promise<{ readonly names: readonly string[]; readonly words: string }> {
  const findings = await collect(store.check(options))
  return {
    names: [...new Set(findings.map((finding) => finding.check))].sort(),
    words: findings
      .map((each) => `${each.check}: ${each.subject}: ${each.message} [${each.heal}]`)
      .join('\n'),
  }
}
