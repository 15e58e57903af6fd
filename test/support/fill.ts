/** Fills a file system, as a container might. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'

export type Full = 'bytes' | 'inodes'

let fillers = 0

/** Writes until no more bytes, or no more files, fit. */
export function fill(directory: string, what: Full): void {
  const name = join(directory, `filler-${++fillers}`)
  if (what === 'inodes') {
    // btrfs has no inode limit, but keeps small files in its metadata, which can run out.
    const content = fs.statfsSync(directory).files === 0 ? Buffer.alloc(2000, 1) : ''
    untilFull((n) => fs.writeFileSync(`${name}-${n}`, content, { flag: 'wx' }))
    return
  }
  try {
    const fd = fs.openSync(name, 'ax')
    try {
      for (const size of [1 << 20, 4096, 512, 1]) untilFull(() => fs.writeSync(fd, Buffer.alloc(size, 1)))
      fs.fsyncSync(fd)
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
  }
}

function untilFull(step: (n: number) => void): void {
  for (let n = 0; ; n++) {
    try {
      step(n)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      assert.equal(code, 'ENOSPC', String(error))
      return
    }
  }
}
