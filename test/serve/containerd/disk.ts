/** What a store leaves on the disk when containerd is done with it. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

/** Excludes what every store has: database, backups, journal, locks, and the temporary files of running processes. */
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
