/** A new file system for a test, on a loop file that is removed with it. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type FileSystemKind = 'ext4' | 'xfs' | 'btrfs' | 'tmpfs'

export interface FileSystem {
  /** The path of its root. */
  readonly path: string
  /** Unmounts it, runs `meanwhile` and mounts it again, like a reboot: only what is on disk remains. Not for tmpfs. */
  remount(meanwhile?: () => void): void
  close(): void
}

interface Recipe {
  /** The command that makes it, to be followed by the file; undefined where none is needed. */
  readonly make?: readonly [command: string, ...args: string[]]
  /** The Debian package of that command. */
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

/** Why this file system is not available here; undefined where it is. */
export function whyNoFileSystem(kind: FileSystemKind): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting needs root'
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
  /** In the form that truncate(1) takes. */
  readonly size?: string
  /** Additional options of mkfs; a later one overrides an earlier one. */
  readonly make?: readonly string[]
  /** Options of mount(8). */
  readonly options?: readonly string[]
  /** The path of the loop file, which the caller removes. */
  readonly image?: string
}

/** The loop device is detached when it is unmounted. */
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
      execFileSync('umount', ['-l', path]) // a process still uses it, and the mount ends with that
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

/** The environment with Debian's folders for mkfs in PATH. */
function withSbin(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }
}
