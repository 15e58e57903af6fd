/** How a failed system call is reported: Node's own form, so that `errnoOf` and people read both alike. */
import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { toShortText } from '../bytes.js'
import { noneOf, whatRanOut } from './full.js'

export class SysError extends Error {
  override readonly name = 'SysError'
  /** `ENOENT` … */
  readonly code: string
  /** Negative, as Node has it. */
  readonly errno: number
  readonly syscall: string
  /** A byte string; undefined where the call took none. */
  readonly path: string | undefined

  /** `errno` is positive, as the C library has it; `dest` the second path of a call that takes two. */
  constructor(errno: number, syscall: string, path?: string, dest?: string) {
    const [code, text] = errno === constants.errno.ENOSPC ? full(dest ?? path) : describe(errno)
    const on = path === undefined ? '' : ` '${toShortText(path)}'`
    super(`${code}: ${text}, ${syscall}${on}${dest === undefined ? '' : ` -> '${toShortText(dest)}'`}`)
    this.code = code
    this.errno = -errno
    this.syscall = syscall
    this.path = path
  }
}

/** The error of Node's fs as ours; anything else (a wrong argument) as it is. */
export function fromNode(error: unknown, syscall: string, path?: string): unknown {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    return new SysError(-error.errno, syscall, path)
  }
  return path?.includes('\0') ? new SysError(constants.errno.EINVAL, syscall, path) : error
}

/** The number of an error's name: 2 for `ENOENT`; undefined for an unknown name. */
export function errnoNumber(code: string): number | undefined {
  return NUMBERS.get(code)
}

/** ENOSPC may also mean that the file system has space and no inodes: the text says which. */
function full(path: string | undefined): readonly [code: string, text: string] {
  const ranOut = path === undefined ? undefined : whatRanOut(path)
  return ranOut?.includes('inodes')
    ? ['ENOSPC', `${noneOf(ranOut)} left on device`]
    : describe(constants.errno.ENOSPC)
}

function describe(errno: number): readonly [code: string, text: string] {
  const ours = EXTRA.find(([number]) => number === errno)
  if (ours !== undefined) return [ours[1], ours[2]]
  return getSystemErrorMap().get(-errno) ?? [NAMES.get(errno) ?? `E${errno}`, `error ${errno}`]
}

/**
 * Errors of file systems and mounts that Node has no name for, or (95) another name than the manuals
 * (include/uapi/asm-generic/errno.h).
 */
const EXTRA: readonly (readonly [number, string, string])[] = [
  [15, 'ENOTBLK', 'block device required'],
  [61, 'ENODATA', 'no data available'],
  [95, 'EOPNOTSUPP', 'operation not supported'],
  [116, 'ESTALE', 'stale file handle'],
  [117, 'EUCLEAN', 'structure needs cleaning'],
  [122, 'EDQUOT', 'disk quota exceeded'],
  [123, 'ENOMEDIUM', 'no medium found'],
  [124, 'EMEDIUMTYPE', 'wrong medium type'],
]
const NUMBERS = new Map<string, number>([
  ...Object.entries(constants.errno),
  ...EXTRA.map(([errno, code]) => [code, errno] as const),
])
const NAMES = new Map([...NUMBERS].map(([code, errno]) => [errno, code]))
