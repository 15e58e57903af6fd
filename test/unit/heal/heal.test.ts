/** A device 0:0 is a whiteout on overlayfs and a device elsewhere; the caller of healTree says which. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { healTree } from '../../../core/heal/heal.js'
import { chmod, lchown, mknod, utimens } from '../../../core/sys/files.js'
import { lstat } from '../../../core/sys/stat.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'

const CHAR = 0o020000

for (const [whiteouts, title] of [
  [true, 'a whiteout is correct whatever its attributes'],
  [false, 'a device 0:0 has its owner, mode and time restored'],
] as const) {
  test(title, { skip: NEEDS_ROOT }, async (t) => {
    const root = mkdtempSync(join(tmpdir(), 'varve-heal-'))
    t.after(() => rmSync(root, { recursive: true }))
    const [damaged, good] = [join(root, 'damaged'), join(root, 'good')]
    for (const [directory, owner] of [
      [damaged, 0],
      [good, 7],
    ] as const) {
      mkdirSync(directory)
      mknod(join(directory, 'zero'), CHAR, 0, 0)
      lchown(join(directory, 'zero'), owner, owner)
      chmod(join(directory, 'zero'), owner === 0 ? 0 : 0o640)
      for (const path of [join(directory, 'zero'), directory]) utimens(path, { sec: 1000 + owner, nsec: 0 })
    }
    utimens(damaged, { sec: 1007, nsec: 0 })
    const { changed } = await healTree(damaged, good, { whiteouts })
    const { mode, uid, mtimeSec } = lstat(join(damaged, 'zero'))
    assert.deepEqual(
      { changed, mode, uid, mtimeSec },
      whiteouts
        ? { changed: 0, mode: CHAR, uid: 0, mtimeSec: 1000 }
        : { changed: 1, mode: CHAR | 0o640, uid: 7, mtimeSec: 1007 },
    )
  })
}
