/**
 * Copying a file up parts it from its other names (without an index). A file that is the same in all else is a change
 * where the names it is linked with differ.
 */
import type { Stat } from '../../core/sys/stat.js'

interface Name {
  readonly path: string
  readonly was: Stat
  readonly is: Stat
}

export interface LinkCheck {
  /** Notes an upper file that equals its parent's of the same name. */
  same(path: string, was: Stat, is: Stat): void
  /**
   * The noted paths whose links changed. Which names the parent has for a file is known only by their number, so one whose
   * other names are all deleted counts as changed too: its diff repeats it, which does no harm.
   */
  broken(): readonly string[]
}

export function createLinkCheck(): LinkCheck {
  const before = new Map<number, Name[]>()
  const after = new Map<number, Name[]>()
  return {
    same(path, was, is) {
      if (was.nlink === 1 && is.nlink === 1) return
      const name = { path, was, is }
      append(before, was.ino, name)
      append(after, is.ino, name)
    },
    broken() {
      const paths = new Set<string>()
      for (const names of before.values()) {
        const [first] = names
        const whole = first !== undefined && names.length === first.was.nlink
        if (whole && names.every(({ is }) => is.ino === first.is.ino)) continue
        for (const { path } of names) paths.add(path)
      }
      for (const names of after.values()) {
        if (names.every(({ was }) => was.ino === names[0]?.was.ino)) continue
        for (const { path } of names) paths.add(path)
      }
      return [...paths]
    },
  }
}

function append(groups: Map<number, Name[]>, ino: number, name: Name): void {
  const names = groups.get(ino)
  if (names === undefined) groups.set(ino, [name])
  else names.push(name)
}
