/**
 * A data root is its owner's alone. Whoever else may write there can put a symlink or a file of theirs in the place of what
 * is made there, before or while we look; so such a root is refused, and what is in one that is ours is looked at before
 * it is used: nobody can change it then. What is deeper down is in directories that were made 0700 by us.
 */
import { fromText, toText } from '../bytes.js'
import { VarveError } from '../errors.js'
import { isDirectory, isFile, isSymlink, lstatOrUndefined, type Stat, stat } from '../sys/stat.js'

/** Names in a root, and what they must be. */
export interface Members {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

/** @throws VarveError FAILED_PRECONDITION with the command that mends it; SysError */
export function refuseForeignRoot(root: string): void {
  const found = stat(fromText(root)) // the root's own name may be a symlink: that is the caller's
  if (!isDirectory(found.mode)) throw refused(root, 'not a directory')
  const wrong = ownership(found, root)
  if (wrong !== undefined) throw refused(root, `${wrong.what}; ${wrong.mend}`)
}

/** What of `members` is there must be ours, and what its name says. @throws VarveError FAILED_PRECONDITION; SysError */
export function refuseForeignMembers(root: string, { folders, files }: Members): void {
  for (const name of [...folders, ...files]) {
    const path = `${root}/${name}`
    const found = lstatOrUndefined(fromText(path))
    if (found === undefined) continue
    const wrong = kindOf(found, path, folders.includes(name)) ?? ownership(found, path)
    if (wrong !== undefined) throw refused(root, `${quoted(path)} ${wrong.what}; ${wrong.mend}`)
  }
}

interface Wrong {
  readonly what: string
  /** What to do about it. */
  readonly mend: string
}

function kindOf({ mode, nlink }: Stat, path: string, isFolder: boolean): Wrong | undefined {
  if (isSymlink(mode)) {
    const instead = isFolder ? `, or bind-mount the directory on ${quoted(path)}` : ''
    return { what: 'is a symlink, and none is followed here', mend: `rm ${quoted(path)}${instead}` }
  }
  if (isFolder && !isDirectory(mode)) return { what: 'is no directory', mend: `rm ${quoted(path)}` }
  if (isFolder) return undefined
  if (!isFile(mode)) return { what: 'is no file', mend: `mv ${quoted(path)} elsewhere` }
  // Written to, it would change under that name too.
  if (nlink > 1) return { what: `has ${nlink} names (hard links)`, mend: `make it a copy: ${copyOver(path)}` }
  return undefined
}

function ownership({ uid, mode }: Stat, path: string): Wrong | undefined {
  const me = process.geteuid?.() ?? 0
  if (uid !== me) {
    return {
      what: `belongs to user ${uid}, and this is user ${me}`,
      mend: `run varve as its owner, or make it yours: chown ${me} ${quoted(path)}`,
    }
  }
  if ((mode & 0o022) === 0) return undefined
  return {
    what: `can be written to by others than its owner (its mode is ${(mode & 0o7777).toString(8).padStart(4, '0')})`,
    mend: `see that nobody put anything there, then: chmod ${isDirectory(mode) ? '0700' : '0600'} ${quoted(path)}`,
  }
}

function copyOver(path: string): string {
  return `cp -p ${quoted(path)} ${quoted(`${path}.copy`)} && mv ${quoted(`${path}.copy`)} ${quoted(path)}`
}

function refused(root: string, why: string): VarveError {
  return new VarveError('FAILED_PRECONDITION', `root ${root}: ${why}`)
}

/** As a shell reads it. */
function quoted(path: string): string {
  const shown = toText(fromText(path))
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
