/** Brings a directory or a whole file system to disk, by path. */
import { constants } from 'node:fs'
import { close, fsync, open, syncfs } from './files.js'

/** fsync(2) of a directory: brings the names in it to disk. @throws SysError */
export function syncDirectory(path: string): void {
  withDirectory(path, fsync)
}

/** syncfs(2): brings all of the file system that the directory `path` is on to disk. @throws SysError */
export function syncFileSystem(path: string): void {
  withDirectory(path, syncfs)
}

function withDirectory(path: string, use: (fd: number) => void): void {
  const fd = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    use(fd)
  } finally {
    close(fd)
  }
}
