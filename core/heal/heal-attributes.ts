/** Gives a damaged entry the owner, attributes, mode and time of the good one. */
import { errnoOf } from '../errors.js'
import { chmod, lchown, utimens } from '../sys/files.js'
import { isSymlink, lstat, type Stat } from '../sys/stat.js'
import { removexattr, setxattr } from '../sys/xattr.js'
import { readXattrs } from '../tree/attributes.js'
import { PERMISSIONS, runsAsRoot } from '../tree/own-access.js'

interface Both {
  readonly wanted: Stat
  readonly actual: Stat
  /** Prefixes of attribute names that the damaged entry may keep even if the good one lacks them. */
  readonly ignore: readonly string[]
}

/**
 * The owner first, because chown drops setuid bits and capabilities; the time last. Symlinks are not followed. Returns
 * whether anything was changed.
 */
export function healAttributes(good: string, damaged: string, { wanted, actual, ignore }: Both): boolean {
  let changed = false
  if (runsAsRoot() && (wanted.uid !== actual.uid || wanted.gid !== actual.gid)) {
    lchown(damaged, wanted.uid, wanted.gid)
    changed = true
  }
  if (healXattrs(good, damaged, ignore)) changed = true
  // An ACL is part of the mode, and setting one changes it.
  const mode = changed ? lstat(damaged).mode : actual.mode
  if (!isSymlink(wanted.mode) && (wanted.mode & PERMISSIONS) !== (mode & PERMISSIONS)) {
    chmod(damaged, wanted.mode & PERMISSIONS)
    changed = true
  }
  const { mtimeSec: sec, mtimeNsec: nsec } = wanted
  if (sec !== actual.mtimeSec || nsec !== actual.mtimeNsec || changed) {
    const isOther = sec !== actual.mtimeSec || nsec !== actual.mtimeNsec
    utimens(damaged, { sec, nsec })
    changed ||= isOther
  }
  return changed
}

function healXattrs(good: string, damaged: string, ignore: readonly string[]): boolean {
  const wanted = readXattrs(good)
  const actual = readXattrs(damaged)
  let changed = false
  for (const name of actual.keys()) {
    if (wanted.has(name) || isLabel(name) || ignore.some((start) => name.startsWith(start))) continue
    removexattr(damaged, name)
    changed = true
  }
  for (const [name, value] of wanted) {
    if (actual.get(name) === value || isLabel(name)) continue
    try {
      setxattr(damaged, name, value)
      changed = true
    } catch (error) {
      // Without root it can't be on the good entry by our doing either: the file system set it.
      if (runsAsRoot() || errnoOf(error) !== 'EPERM') throw error
    }
  }
  return changed
}

/** A label that a security module sets by itself. */
function isLabel(name: string): boolean {
  return name === 'security.selinux'
}
