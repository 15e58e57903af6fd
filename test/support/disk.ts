/**
 * The file system that a test run works on: a new ext4 in memory, on a loop device, where root and memory allow it. There
 * `syncfs` does not wait for the dirty pages of other processes, and full copies take no disk. Else: a plain directory.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmdirSync, statfsSync, truncateSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Claim, openClaim } from './claim.js'

export interface Disk {
  /** An empty directory. */
  readonly directory: string
  /** A description for the log. */
  readonly kind: string
  /** Removes it with everything in it, and ends the processes that use it. Idempotent. */
  close(): void
}

const SIZE = 12 * 2 ** 30

export function openDisk(): Disk {
  const claim = openClaim()
  const { directory } = claim
  mkdirSync(directory, { mode: 0o700 })
  const reason = process.getuid?.() === 0 ? tryMount(claim) : 'not root'
  // mkfs creates it, but a run's directory must start empty.
  if (reason === undefined) rmdirSync(join(directory, 'lost+found'))
  let isOpen = true
  return {
    directory,
    kind: reason === undefined ? 'ext4 in memory' : `a plain directory (${reason})`,
    close() {
      if (!isOpen) return
      isOpen = false
      claim.release()
    },
  }
}

/** The reason why it failed; undefined where the directory is now the root of the new file system. */
function tryMount({ file, directory }: Claim): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(dirname(file))
    if (bavail * bsize < SIZE) return `less than ${SIZE / 2 ** 30} GiB free in ${dirname(file)}`
    truncateSync(file, SIZE)
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=1', file], { stdio: 'pipe' })
    execFileSync('mount', ['-o', 'loop,discard', file, directory], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    truncateSync(file, 0)
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  }
}
