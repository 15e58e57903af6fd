/** What of a tree may be in use through any mount: files open for writing, and its directories by their inodes. */
import { errnoOf } from '../errors.js'
import { join } from '../paths.js'
import { close } from '../sys/files.js'
import { isOpenForWriting } from '../sys/lease.js'
import { fstat, inodeOf, isDirectory, isFile } from '../sys/stat.js'
import { eachIn, enterDirectory, openRegularFile, openTree } from './confined.js'

export interface InUse {
  /** Paths of files that are open for writing; the first few. */
  readonly written: readonly string[]
  /** The inodes of all directories, as `inodeOf` writes them. */
  readonly directories: ReadonlySet<string>
}

const FEW = 3

/** `root` is a path. Opens every file once. @throws SysError */
export function inUse(root: string): InUse {
  const written: string[] = []
  const directories = new Set<string>()
  const tree = openTree(root)
  try {
    directories.add(inodeOf(fstat(tree.fd)))
    const stack = ['']
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      const directory = enterDirectory(tree, path)
      try {
        for (const [name, stat] of eachIn(directory.fd)) {
          if (isDirectory(stat.mode)) {
            directories.add(inodeOf(stat))
            stack.push(join(path, name))
          } else if (isFile(stat.mode) && written.length < FEW && isWritten(directory.fd, name)) {
            written.push(join(path, name))
          }
        }
      } finally {
        directory.close()
      }
    }
  } finally {
    tree.close()
  }
  return { written, directories }
}

function isWritten(directory: number, name: string): boolean {
  let fd: number
  try {
    fd = openRegularFile(directory, name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false // gone meanwhile
    throw error
  }
  try {
    return isOpenForWriting(fd) === true
  } finally {
    close(fd)
  }
}
