/** A btrfs of the test's own, on a loop file. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LayerId } from '../../../core/ids.js'
import { mountInfo } from '../../../core/sys/mount.js'
import { btrfs } from '../../../drivers/btrfs/driver.js'
import { type Bench, withBench } from '../drivers/bench.js'

export interface Loop {
  /** The root of the file system. */
  readonly path: string
  /** As a reboot would: nothing is remembered but what is on disk. */
  remount(): void
  close(): void
}

/** Why there can be none here; undefined where there can. */
export function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return 'a loop device takes root'
  if (!existsSync('/dev/loop-control')) return 'the kernel has no loop devices'
  execFileSync('sh', ['-c', 'modprobe btrfs 2>/dev/null || true'])
  if (!/\tbtrfs$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return 'the kernel has no btrfs'
  try {
    execFileSync('mkfs.btrfs', ['--version'], { stdio: 'ignore' })
  } catch {
    return 'there is no mkfs.btrfs (btrfs-progs)'
  }
  return undefined
}

/** Made of a sparse file; `size` as truncate(1) takes it. The loop device goes with its mount. */
export function openLoop(size = '1G'): Loop {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'varve-btrfs-'))
  const [image, path] = [join(directory, 'image'), join(directory, 'mount')]
  const close = () => {
    try {
      if (mountInfo().some(({ target }) => target === path)) execFileSync('umount', [path])
    } catch (error) {
      execFileSync('umount', ['-l', path]) // somebody is still at work there: it goes with them
      throw error
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
  const mount = () => execFileSync('mount', ['-o', 'loop', image, path])
  try {
    mkdirSync(path)
    execFileSync('truncate', ['-s', size, image])
    execFileSync('mkfs.btrfs', ['-q', image], { stdio: 'pipe' })
    mount()
    return {
      path,
      remount() {
        execFileSync('umount', [path])
        mount()
      },
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** A btrfs driver below `path`; its layers are gone at the end. */
export async function withLayers(path: string, use: (bench: Bench) => Promise<void>): Promise<void> {
  const before = process.env.TMPDIR
  process.env.TMPDIR = path
  try {
    await withBench(btrfs, {}, async (bench) => {
      try {
        await use(bench)
      } finally {
        const driver = await bench.reopen() // which removes what a failed test left
        for (const id of await driver.list()) await driver.remove(id)
      }
    })
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}

/** The layer's own directory. */
export function subvolumeOf(bench: Bench, id: LayerId): string {
  return join(bench.home, 'subvolumes', id)
}

/** What is in the folder of layers: nothing of a temporary may be among it. */
export function folderOf(bench: Bench): string[] {
  return readdirSync(join(bench.home, 'subvolumes')).sort()
}
