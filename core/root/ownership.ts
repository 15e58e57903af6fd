/**
 * A data root belongs to its owner alone. Anybody else who may write there could replace what we make by a symlink or a
 * file of their own, even while we check it. So such a root is refused. In a root that is ours everything is checked before
 * it is used, and nobody can change it after that. What is deeper down is in directories that we made 0700.
 */
import { fromText, toText } from '../bytes.js'
import { VarveError } from '../errors.js'
import { isDirectory, isFile, isSymlink, lstatOrUndefined, type Stat, stat } from '../sys/stat.js'

/** Names in a root, and what they must be. */
export interface Members {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

/** @throws VarveError FAILED_PRECONDITION with the command that puts it right; SysError */
export function refuseForeignRoot(root: string): void {
  const found = stat(fromText(root)) // the root itself may be a symlink: that is the caller's choice
  if (!isDirectory(found.mode)) throw refused(root, 'not a directory')
  const wrong = ownership(found, root)
  if (wrong !== undefined) throw refused(root, `${wrong.what}; ${wrong.mend}`)
}

/**
 * Those of `members` that are there must be ours, and of the right type.
 * @throws VarveError FAILED_PRECONDITION; SysError
 */
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
    return { what: 'is a symlink, which is not allowed here', mend: `rm ${quoted(path)}${instead}` }
  }
  if (isFolder && !isDirectory(mode)) return { what: 'is not a directory', mend: `rm ${quoted(path)}` }
  if (isFolder) return undefined
  if (!isFile(mode)) return { what: 'is not a regular file', mend: `mv ${quoted(path)} elsewhere` }
  // Writing to it would change the file under its other names too.
  if (nlink > 1) return { what: `has ${nlink} names (hard links)`, mend: `make it a copy: ${copyOver(path)}` }
  return undefined
}

function ownership({ uid, mode }: Stat, path: string): Wrong | undefined {
  const me = process.geteuid?.() ?? 0
  if (uid !== me) {
    return {
      what: `belongs to user ${uid}, but varve runs as user ${me}`,
      mend: `run varve as its owner, or make it yours: chown ${me} ${quoted(path)}`,
    }
  }
  if ((mode & 0o022) === 0) return undefined
  return {
    what: `can be written to by others than its owner (its mode is ${(mode & 0o7777).toString(8).padStart(4, '0')})`,
    mend: `check that nobody put anything there, then: chmod ${isDirectory(mode) ? '0700' : '0600'} ${quoted(path)}`,
  }
}

function copyOver(path: string): string {
  return `cp -p ${quoted(path)} ${quoted(`${path}.copy`)} && mv ${quoted(`${path}.copy`)} ${quoted(path)}`
}

function refused(root: string, why: string): VarveError {
  return new VarveError('FAILED_PRECONDITION', `root ${root}: ${why}`)
}

/** Quoted for a shell, where that is needed. */
function quoted(path: string): string {
  const shown = toText(fromText(path))
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
