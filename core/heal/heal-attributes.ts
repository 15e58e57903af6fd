/** Owner, attributes, mode and time of a damaged entry made those of a good one. */
import { errnoOf } from '../errors.js'
import { chmod, lchown, utimens } from '../sys/files.js'
import { isSymlink, lstat, type Stat } from '../sys/stat.js'
import { removexattr, setxattr } from '../sys/xattr.js'
import { readXattrs } from '../tree/attributes.js'
import { isRoot, PERMISSIONS } from '../tree/own-access.js'

interface Both {
  readonly wanted: Stat
  readonly actual: Stat
  /** Attributes that start so and that the good one does not have may stay. */
  readonly ignore: readonly string[]
}

/**
 * In the order that keeps setuid bits and capabilities, since chown drops both; the time last. Both are paths that are not
 * followed. Was anything to do?
 */
export function healAttributes(good: string, damaged: string, { wanted, actual, ignore }: Both): boolean {
  let changed = false
  if (isRoot() && (wanted.uid !== actual.uid || wanted.gid !== actual.gid)) {
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
      // Without root nobody could set it on the good one either, unless the file system took it from elsewhere.
      if (isRoot() || errnoOf(error) !== 'EPERM') throw error
    }
  }
  return changed
}

/** The label of a security module, which it sets by itself. */
function isLabel(name: string): boolean {
  return name === 'security.selinux'
}
