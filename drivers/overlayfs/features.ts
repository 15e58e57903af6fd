/**
 * What of overlayfs is used here, and the mount options that say so. What is read must never hang on a default that a
 * reboot or an admin may change, so every option that the kernel knows is given:
 *
 * - `index=off`: a layer is an upper directory today and a lower one tomorrow, below any layer; an index forbids that.
 * - `redirect_dir`: a writable layer renames directories in place (`on`) or has the caller copy them (`follow`: EXDEV);
 *   what was renamed is followed in either case.
 * - `metacopy`: a chmod or chown of a lower file copies its content (`off`) or not (`on`). Such a file can only be read
 *   through a mount with `metacopy=on` (EPERM otherwise), so read-only mounts always have it, and writable ones from the
 *   first time that anything here was written with it, which the driver marks in its home.
 * - `userxattr`: only where trusted.* attributes can't be set (a user namespace); it excludes the two above.
 * - `xino` is left alone: all layers of a home are on one file system, where inode numbers are stable without it.
 */
import { errnoOf, VarveError } from '../../core/errors.js'
import { removexattr, setxattr } from '../../core/sys/xattr.js'
import { readSmall } from '../kernel.js'
import { onOff } from '../options.js'

export interface Features {
  /** Prefix of overlayfs's own attributes: `trusted.overlay.` or `user.overlay.` */
  readonly prefix: string
  readonly userxattr: boolean
  /** undefined: a kernel that does not know the option. */
  readonly redirectDir: boolean | undefined
  readonly metacopy: boolean | undefined
  readonly index: boolean | undefined
}

const PARAMETERS = '/sys/module/overlay/parameters'

export interface Wishes {
  /** The name of the driver whose options these are, for messages. */
  readonly driver: string
  readonly options: ReadonlyMap<string, string>
  /** metacopy was used here before. */
  readonly marked: boolean
}

/**
 * `home` is an existing directory of the file system in question. @throws VarveError INVALID_ARGUMENT, FAILED_PRECONDITION
 * where an option asks for what can't be had here
 */
export function readFeatures(home: string, wishes: Wishes): Features {
  const index = parameter('index')
  if (!trustedAttributes(home)) {
    refuseWithUserxattr(wishes)
    return { prefix: 'user.overlay.', userxattr: true, redirectDir: false, metacopy: false, index }
  }
  const metacopy = choose(wishes, 'metacopy', parameter('metacopy'))
  const used = metacopy === undefined ? undefined : metacopy || wishes.marked
  const redirectDir = choose(wishes, 'redirect_dir', parameter('redirect_dir'))
  return {
    prefix: 'trusted.overlay.',
    userxattr: false,
    redirectDir: redirectDir === undefined ? undefined : redirectDir || used === true, // metacopy=on requires it
    metacopy: used,
    index,
  }
}

/** Options of a mount with an upper directory. */
export function writableOptions(features: Features): readonly string[] {
  const { redirectDir, metacopy } = features
  return [
    ...common(features),
    ...known('redirect_dir', redirectDir, redirectDir === true ? 'on' : 'follow', features),
    ...known('metacopy', metacopy, metacopy === true ? 'on' : 'off', features),
  ]
}

/** Options of a mount of lower directories only: everything is followed. */
export function readOnlyOptions(features: Features): readonly string[] {
  return [
    ...common(features),
    ...known('redirect_dir', features.redirectDir, 'follow', features),
    ...known('metacopy', features.metacopy, 'on', features),
  ]
}

function common({ index, userxattr }: Features): readonly string[] {
  return [...(index === undefined ? [] : ['index=off']), ...(userxattr ? ['userxattr'] : [])]
}

function known(
  key: string,
  value: boolean | undefined,
  word: string,
  { userxattr }: Features,
): readonly string[] {
  return value === undefined || userxattr ? [] : [`${key}=${word}`]
}

function choose({ driver, options }: Wishes, key: string, kernel: boolean | undefined): boolean | undefined {
  const wanted = onOff(driver, options, key)
  if (wanted === true && kernel === undefined) {
    throw new VarveError('FAILED_PRECONDITION', `${driver}: ${key}=on: this kernel's overlayfs has no ${key}`)
  }
  return kernel === undefined ? undefined : (wanted ?? kernel)
}

function refuseWithUserxattr({ driver, options }: Wishes): void {
  for (const key of ['redirect_dir', 'metacopy']) {
    if (onOff(driver, options, key) !== true) continue
    throw new VarveError(
      'FAILED_PRECONDITION',
      `${driver}: ${key}=on needs trusted.* attributes, which can't be set here (a user namespace, or the file system)`,
    )
  }
}

function parameter(name: string): boolean | undefined {
  const text = readSmall(`${PARAMETERS}/${name}`)?.trim()
  return text === undefined ? undefined : text === 'Y' || text === '1'
}

function trustedAttributes(directory: string): boolean {
  const name = 'trusted.overlay.probe'
  try {
    setxattr(directory, name, 'y')
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EROFS') return process.geteuid?.() === 0 // it can't be tried; whoever made it was root then
    // EPERM: no CAP_SYS_ADMIN in the initial user namespace. EOPNOTSUPP: the file system has no such attributes.
    if (errno === 'EPERM' || errno === 'EOPNOTSUPP' || errno === 'ENOTSUP') return false
    throw error
  }
  try {
    removexattr(directory, name)
  } catch (error) {
    if (errnoOf(error) !== 'ENODATA') throw error // ENODATA: another process that asks the same removed it
  }
  return true
}
