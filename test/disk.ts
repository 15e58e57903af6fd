/**
 * The file system that a test run works on: an ext4 of its own in memory, through a loop device, where root and memory
 * allow it. `syncfs` then waits for nobody else's dirty pages, and full copies cost no disk. Else: a plain directory.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Disk {
  /** An empty directory. */
  readonly directory: string
  /** What it is, for the log. */
  readonly kind: string
  /** Takes it away with all that is in it. */
  close(): void
}

const SIZE = 12 * 2 ** 30
const MEMORY = '/dev/shm'

export function openDisk(): Disk {
  const directory = mkdtempSync(join(tmpdir(), 'vt-'))
  const image = join(MEMORY, `varve-test-${process.pid}.img`)
  const reason = process.getuid?.() === 0 ? tryMount(image, directory) : 'not root'
  if (reason !== undefined) {
    rmSync(image, { force: true })
    return {
      directory,
      kind: `a plain directory (${reason})`,
      close: () => rmSync(directory, { recursive: true, force: true }),
    }
  }
  // mkfs made it; a run's directory starts empty.
  rmdirSync(join(directory, 'lost+found'))
  return {
    directory,
    kind: 'ext4 in memory',
    close() {
      // EBUSY: what keeps it was told as left behind.
      if (spawnSync('umount', [directory]).status !== 0) execFileSync('umount', ['-l', directory])
      unlinkSync(image)
      rmdirSync(directory)
    },
  }
}

/** Why it could not be; undefined where `directory` is now the root of the new file system. */
function tryMount(image: string, directory: string): string | undefined {
  try {
    const { bavail, bsize } = statfsSync(MEMORY)
    if (bavail * bsize < SIZE) return `less than ${SIZE / 2 ** 30} GiB free in ${MEMORY}`
    const fd = openSync(image, 'wx', 0o600)
    ftruncateSync(fd, SIZE)
    closeSync(fd)
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=1', image], { stdio: 'pipe' })
    execFileSync('mount', ['-o', 'loop,discard', image, directory], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
  }
}
