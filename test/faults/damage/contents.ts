/** The content of a data root, to find out what a repair removed. */
import { createHash } from 'node:crypto'
import { type Dirent, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** By path below the root; a file is its digest, so that a moved file is recognised. */
export type Contents = ReadonlyMap<string, string>

/** Files that every transaction changes or that hold nothing, and this process's own scratch space. */
const OWN = new RegExp(
  `^(varve\\.db.*|layers\\.lock|reserve.*|locks/.*|records/journal(\\.new)?|tmp/${process.pid}-\\w+)$`,
)

export function contentsOf(root: string): Contents {
  const found = new Map<string, string>()
  const look = (directory: string) => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name)
      if (OWN.test(path)) continue
      found.set(path, whatIs(join(root, path), entry))
      if (entry.isDirectory()) look(path)
    }
  }
  look('')
  return found
}

/** Paths of files whose content is nowhere any more, and paths of other entries that are gone. */
export function lostFrom(before: Contents, after: Contents): readonly string[] {
  const kept = new Set(after.values())
  return [...before].flatMap(([path, what]) => {
    const isKept = what.startsWith('file ') ? kept.has(what) : after.get(path) === what
    return isKept ? [] : [path]
  })
}

function whatIs(path: string, entry: Dirent): string {
  if (entry.isFile()) return `file ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
  if (entry.isSymbolicLink()) return `symlink ${readlinkSync(path)}`
  return entry.isDirectory() ? 'directory' : 'other'
}
