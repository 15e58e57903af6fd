/**
 * The root directory of a new layer's own content. In a merged view the uppermost root counts, so a child's must be as its
 * parent's is: mode, owner, attributes and time.
 */
import { chmod, lchown, mkdir, utimens } from '../../core/sys/files.js'
import { lstat } from '../../core/sys/stat.js'
import { setxattr } from '../../core/sys/xattr.js'
import { readXattrs } from '../../core/tree/attributes.js'
import { isPrivate } from './marks.js'

/** Makes `path`: 0755 of the caller where there is no parent. `parent` is the upper directory of the parent. */
export function makeRoot(path: string, parent: string | undefined, prefix: string): void {
  mkdir(path, 0o755)
  if (parent === undefined) {
    chmod(path, 0o755) // whatever the umask
    return
  }
  const { uid, gid, mode, mtimeSec, mtimeNsec } = lstat(parent)
  lchown(path, uid, gid)
  chmod(path, mode & 0o7777)
  for (const [name, value] of readXattrs(parent)) if (!isPrivate(name, prefix)) setxattr(path, name, value)
  utimens(path, { sec: mtimeSec, nsec: mtimeNsec })
}
