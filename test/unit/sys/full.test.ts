/** The error of a full file system says what has run out: bytes, inodes or both. */
import assert from 'node:assert/strict'
import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import Sqlite from 'better-sqlite3'
import { mapSqliteError } from '../../../core/db/sqlite-errors.js'
import { VarveError } from '../../../core/errors.js'
import * as files from '../../../core/sys/files.js'
import { whatRanOut } from '../../../core/sys/full.js'
import { type FileSystemOptions, openFileSystem, whyNoFileSystem } from '../../support/file-system.js'

const FLAGS = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY

interface Case {
  readonly kind: 'ext4' | 'tmpfs' | 'btrfs' | 'xfs'
  readonly options: FileSystemOptions
  /** What is used up, and the kernel's error then for the call that creates a file. */
  readonly fill: readonly ('bytes' | 'files')[]
  readonly ranOut: ReturnType<typeof whatRanOut>
  readonly says: RegExp
}

const CASES: readonly Case[] = [
  {
    kind: 'tmpfs',
    options: { size: '4M', options: ['nr_inodes=50'] },
    fill: ['files'],
    ranOut: 'inodes',
    says: /^ENOSPC: no inodes left on device, /,
  },
  {
    kind: 'ext4',
    options: { size: '16M', make: ['-N', '64'] },
    fill: ['files'],
    ranOut: 'inodes',
    says: /^ENOSPC: no inodes left on device, /,
  },
  {
    kind: 'ext4',
    options: { size: '16M', make: ['-N', '64'] },
    fill: ['files', 'bytes'],
    ranOut: 'space and inodes',
    says: /^ENOSPC: no space and no inodes left on device, /,
  },
  {
    kind: 'tmpfs',
    options: { size: '4M' },
    fill: ['bytes'],
    ranOut: 'space',
    says: /^ENOSPC: no space left on device, /,
  },
]

describe('the error of a full file system says what has run out', () => {
  for (const { kind, options, fill, ranOut, says } of CASES) {
    it(`${kind}, full of ${fill.join(' and ')}: ${ranOut}`, (t) => {
      const why = whyNoFileSystem(kind)
      if (why !== undefined) return t.skip(why)
      const disk = openFileSystem(kind, options)
      try {
        writeFileSync(`${disk.path}/data`, '')
        assert.equal(whatRanOut(`${disk.path}/new`), undefined)
        for (const what of fill) (what === 'files' ? fillFiles : fillBytes)(disk.path)
        assert.equal(whatRanOut(`${disk.path}/new`), ranOut)
        if (fill.includes('files')) {
          for (const make of [
            () => files.close(files.open(`${disk.path}/new`, FLAGS)),
            () => files.mkdir(`${disk.path}/new`, 0o755),
            () => files.mknod(`${disk.path}/new`, constants.S_IFIFO | 0o644, 0, 0),
            () => files.symlink('x', `${disk.path}/new`),
          ])
            assert.throws(make, { code: 'ENOSPC', message: says })
        }
        const mapped = mapSqliteError(
          new Sqlite.SqliteError('unable to open', 'SQLITE_CANTOPEN'),
          `${disk.path}/varve.db`,
        )
        assert.ok(mapped instanceof VarveError)
        assert.equal(mapped.code, 'RESOURCE_EXHAUSTED')
        assert.ok(
          mapped.message.includes(`no ${(ranOut ?? '').replace('and', 'and no')} left`),
          mapped.message,
        )
      } finally {
        disk.close()
      }
    })
  }
})

function fillFiles(directory: string): void {
  untilFull((n) => writeFileSync(`${directory}/f${n}`, '', { flag: 'wx' }))
}

function fillBytes(directory: string): void {
  const fd = openSync(`${directory}/data`, 'a')
  for (const size of [1 << 20, 4096, 512]) untilFull(() => writeSync(fd, Buffer.alloc(size)))
  closeSync(fd)
}

function untilFull(step: (n: number) => void): void {
  for (let n = 0; ; n++) {
    try {
      step(n)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC')
      return
    }
  }
}
