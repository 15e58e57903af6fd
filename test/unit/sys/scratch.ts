/** A directory for one test, removed after it with everything mounted in it. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { removeTree } from '../../../core/sys/files.js'
import { mountInfo, unmount } from '../../../core/sys/mount/mount.js'

export function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'varve-sys-'))
  t.after(() => {
    const targets = mountInfo().map((mount) => mount.target)
    for (const target of targets.reverse()) {
      if (target === directory || target.startsWith(`${directory}/`)) unmount(target, { lazy: true })
    }
    removeTree(directory)
  })
  return directory
}

/** Matches a SysError, a VarveError or a Node error with this code. */
export function errno(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Error && 'code' in error && error.code === code
}
