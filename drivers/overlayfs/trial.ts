/** Does overlayfs work on a file system? Tried in an empty directory of it, by doing what a driver will do. */
import { constants } from 'node:fs'
import type { Mount, Probe } from '../../core/driver.js'
import { errnoOf } from '../../core/errors.js'
import {
  chmod,
  close,
  mkdir,
  mknod,
  open,
  RENAME_WHITEOUT,
  readdirTypes,
  rename,
  renameat2,
  unlink,
  writeAll,
} from '../../core/sys/files.js'
import { detached } from '../../core/sys/mount/detached.js'
import { isChar, lstat, lstatOrUndefined } from '../../core/sys/stat.js'
import type { Features } from './features.js'
import { readOnlyMount, writableMount } from './mounts.js'

/** What is wrong; undefined where nothing is. */
export type Failed = Omit<Probe, 'facts'> | undefined

/** File systems that overlayfs refuses for an upper directory, or works badly on: better words than EINVAL. */
const UNFIT: Readonly<Record<string, string>> = {
  overlayfs: 'overlay on overlay',
  aufs: 'overlay on aufs',
  ecryptfs: 'overlay on ecryptfs',
  nfs: 'an upper directory on nfs',
}

/** `backing`: a file system by its name, as `fsName` has it. */
export function refuseBacking(backing: string): Failed {
  const unfit = UNFIT[backing]
  if (unfit === undefined) return undefined
  return {
    verdict: 'wrong file system',
    reason: `the kernel refuses ${unfit}; put the data root elsewhere`,
  }
}

/** What the file system below must do. Leaves files in `directory`, which is empty. */
export function testBacking(directory: string, backing: string): Failed {
  const wrong = (reason: string): Failed => ({
    verdict: 'wrong file system',
    reason: `${backing}: ${reason}`,
  })
  mkdir(`${directory}/types`, 0o755)
  makeFile(`${directory}/types/file`, '')
  if (readdirTypes(`${directory}/types`).some(({ type }) => type !== 'file')) {
    return wrong('directories do not tell the type of their entries (d_type; xfs: mkfs.xfs -n ftype=1)')
  }
  const whiteout = tried(() => mknod(`${directory}/whiteout`, 0o020000, 0, 0))
  if (whiteout !== undefined) {
    return {
      verdict: 'prerequisite missing',
      reason: `make a whiteout (mknod c 0 0): ${whiteout}; is this root?`,
    }
  }
  const moved = tried(() => renameat2(`${directory}/types/file`, `${directory}/moved`, RENAME_WHITEOUT))
  if (moved !== undefined) return wrong(`no RENAME_WHITEOUT, which overlayfs needs: ${moved}`)
  return undefined
}

/**
 * Two lower directories and an upper one: read, hide, rename, chmod; then the result as a lower directory. The mounts are
 * attached nowhere, so that a crash leaves none behind. Leaves directories in `directory`.
 */
export async function testMounts(directory: string, backing: string, features: Features): Promise<Failed> {
  const [low, mid, diff, work] = ['low', 'mid', 'diff', 'work'].map((name) => `${directory}/${name}`)
  if (low === undefined || mid === undefined || diff === undefined || work === undefined) return undefined
  const upper = { diff, work, empty: low }
  for (const path of [low, mid, diff, work]) mkdir(path, 0o755)
  makeFile(`${low}/read`, 'low')
  makeFile(`${mid}/hide`, 'mid')
  makeFile(`${mid}/chmod`, 'mid')
  const wrong = (reason: string): Failed => ({
    verdict: 'wrong file system',
    reason: `${backing}: ${reason}`,
  })
  const written = await within(writableMount([mid, low], upper, features), (root) => {
    if (lstatOrUndefined(`${root}/read`) === undefined) return 'of two lower directories only one is seen'
    unlink(`${root}/hide`)
    chmod(`${root}/chmod`, 0o600)
    rename(`${root}/read`, `${root}/renamed`)
    return isChar(lstat(`${diff}/hide`).mode) ? undefined : 'a deleted file leaves no whiteout'
  })
  if (written !== undefined) {
    return written.errno === 'EPERM' || written.errno === 'EACCES'
      ? {
          verdict: 'prerequisite missing',
          reason: `mount overlay: ${written.said}; it needs root (CAP_SYS_ADMIN)`,
        }
      : wrong(`a test mount failed: ${written.said}`)
  }
  const read = await within(readOnlyMount([diff, mid, low], upper, features), (root) => {
    const there = (name: string) => lstatOrUndefined(`${root}/${name}`) !== undefined
    const right = there('renamed') && !there('read') && !there('hide') && lstat(`${root}/chmod`).size === 3
    return right ? undefined : 'a written upper directory is read differently as a lower one'
  })
  return read === undefined ? undefined : wrong(`a read-only test mount failed: ${read.said}`)
}

/** `test` says what is wrong with the mount at a path, or throws. */
async function within(
  mount: Mount,
  test: (root: string) => string | undefined,
): Promise<{ readonly said: string; readonly errno: string | undefined } | undefined> {
  try {
    const { fd } = await detached([mount])
    try {
      const said = test(`/proc/self/fd/${fd}`)
      return said === undefined ? undefined : { said, errno: undefined }
    } finally {
      close(fd)
    }
  } catch (error) {
    return {
      said: wordsOf(error),
      errno: errnoOf(error) ?? errnoOf(error instanceof Error ? error.cause : undefined),
    }
  }
}

/** The words of a failed call; undefined where it went well. */
function tried(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return wordsOf(error)
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function makeFile(path: string, text: string): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  const fd = open(path, flags, 0o644)
  try {
    writeAll(fd, Buffer.from(text))
  } finally {
    close(fd)
  }
}
