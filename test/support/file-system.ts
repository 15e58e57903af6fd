/** A file system of the test's own, on a loop file that goes with it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type FileSystemKind = 'ext4' | 'xfs' | 'btrfs' | 'tmpfs'

export interface FileSystem {
  /** Its root. */
  readonly path: string
  /** As a reboot would, `meanwhile` being done between: nothing is remembered but what is on disk. Not for tmpfs. */
  remount(meanwhile?: () => void): void
  close(): void
}

interface Recipe {
  /** Makes it on the file that follows; undefined where nothing has to be made. */
  readonly make?: readonly [command: string, ...args: string[]]
  /** Debian's package of that command. */
  readonly from?: string
}

const RECIPES: Readonly<Record<FileSystemKind, Recipe>> = {
  // Enough inodes for full copies of deep stacks of small files.
  ext4: {
    make: ['mkfs.ext4', '-q', '-F', '-N', '400000', '-E', 'nodiscard,lazy_itable_init=1'],
    from: 'e2fsprogs',
  },
  xfs: { make: ['mkfs.xfs', '-q', '-m', 'reflink=1'], from: 'xfsprogs' },
  btrfs: { make: ['mkfs.btrfs', '-q'], from: 'btrfs-progs' },
  tmpfs: {},
}

/** Why there can be none here; undefined where there can. */
export function whyNoFileSystem(kind: FileSystemKind): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting takes root'
  if (!existsSync('/dev/loop-control')) return 'the kernel has no loop devices'
  execFileSync('sh', ['-c', `modprobe ${kind} 2>/dev/null || true`])
  if (!new RegExp(`\\t${kind}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8')))
    return `the kernel has no ${kind}`
  const { make, from } = RECIPES[kind]
  if (make === undefined) return undefined
  const found = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin')
  if (found.some((directory) => existsSync(join(directory, make[0])))) return undefined
  return `there is no ${make[0]} (${from})`
}

export interface FileSystemOptions {
  /** As truncate(1) takes it. */
  readonly size?: string
  /** Of mkfs, besides the usual ones; a later one counts. */
  readonly make?: readonly string[]
  /** Of mount(8). */
  readonly options?: readonly string[]
  /** Where the loop file is to be, for whoever opened it to remove. */
  readonly image?: string
}

/** The loop device goes with its mount. */
export function openFileSystem(kind: FileSystemKind, options: FileSystemOptions = {}): FileSystem {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), `varve-${kind}-`))
  const path = join(directory, 'mount')
  const { size = '2G', image = join(directory, 'image') } = options
  const { make } = RECIPES[kind]
  let mounted = false
  const mount = () => {
    const given = [...(make ? ['loop'] : [`size=${size}`, 'mode=0755']), ...(options.options ?? [])].join(',')
    const args = ['-o', given, ...(make ? [image] : ['-t', kind, 'varve-test'])]
    execFileSync('mount', [...args, path], { stdio: 'pipe' })
    mounted = true
  }
  const close = () => {
    try {
      if (mounted) execFileSync('umount', [path], { stdio: 'pipe' })
    } catch (error) {
      execFileSync('umount', ['-l', path]) // somebody is still at work there: it goes with them
      throw error
    } finally {
      rmSync(directory, { recursive: true })
    }
  }
  try {
    mkdirSync(path)
    if (make) {
      execFileSync('truncate', ['-s', size, image])
      const [command, ...args] = make
      execFileSync(command, [...args, ...(options.make ?? []), image], { stdio: 'pipe', env: withSbin() })
    }
    mount()
    return {
      path,
      remount(meanwhile) {
        execFileSync('umount', [path])
        mounted = false
        meanwhile?.()
        mount()
      },
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** Where Debian keeps what makes file systems, also for those whose PATH lacks it. */
function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
}
