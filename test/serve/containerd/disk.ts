/** What a store has on the disk when containerd is done with it. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

/** Of all but what a store has for as long as it lives: its database, copies and journal, its locks, and the scratch of who runs. */
export interface DiskUse {
  /** KiB. */
  readonly size: number
  readonly files: readonly string[]
}

export function diskUseOf(root: string): DiskUse {
  const kept = ['varve.db*', 'backup', 'begun', 'journal'].map((name) => `--exclude=${name}`)
  const du = execFileSync('du', ['-sk', ...kept, root], { encoding: 'utf8' })
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter(
      (name) =>
        !/^(varve\.db|backup|records\/(begun|journal|made)$|layers\.lock$|locks\/tmp-|tmp\/)/.test(name),
    )
    .sort()
  return { size: Number(du.split('\t')[0]), files }
}
