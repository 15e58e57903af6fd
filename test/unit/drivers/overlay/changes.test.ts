import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { describe, it } from 'node:test'
import { overlay } from '../../../../drivers/overlay/driver.js'
import { withBench } from '../bench.js'

const REDIRECT = { redirect_dir: 'on' }
const METACOPY = { metacopy: 'on' }

interface Case {
  readonly title: string
  readonly options?: Readonly<Record<string, string>>
  /** Makes the edit in the merged directory. */
  edit(root: string): void
  /** `A`, `C` or `D` and the path, sorted by path; the changed times of parent directories are left out with `~`. */
  readonly changes: readonly string[]
}

const CASES: readonly Case[] = [
  { title: 'a layer nobody wrote to changes nothing', edit: () => {}, changes: [] },
  {
    title: 'a new file in a directory of the parent is an add, and the directory a modify',
    edit: (root) => fs.writeFileSync(`${root}/dir/new`, ''),
    changes: ['C dir', 'A dir/new'],
  },
  {
    title: 'a deleted file is a delete',
    edit: (root) => fs.unlinkSync(`${root}/dir/file`),
    changes: ['C dir', 'D dir/file'],
  },
  {
    title: 'a deleted directory is one delete',
    edit: (root) => fs.rmSync(`${root}/dir`, { recursive: true }),
    changes: ['C ', 'D dir'],
  },
  {
    title: 'a whiteout that hides nothing is no change',
    edit(root) {
      keepTime(root, 'dir', () => {
        fs.writeFileSync(`${root}/dir/passing`, '')
        fs.unlinkSync(`${root}/dir/passing`)
      })
    },
    changes: [],
  },
  {
    title: 'a file opened for writing and left as it was is no change, though it was copied up',
    edit: (root) => fs.closeSync(fs.openSync(`${root}/dir/file`, 'r+')),
    changes: [],
  },
  {
    title: 'a same-size edit whose time is put back is found',
    edit: (root) => keepTime(root, 'dir/file', () => fs.writeFileSync(`${root}/dir/file`, 'elif')),
    changes: ['C dir/file'],
  },
  {
    title: 'a directory created again deletes its old files, one by one, and keeps equal ones',
    edit(root) {
      keepTime(root, '', () => {
        keepTime(root, 'dir', () => {
          execFileSync('cp', ['-a', `${root}/dir`, `${root}/copy`])
          fs.rmSync(`${root}/dir`, { recursive: true })
          fs.renameSync(`${root}/copy`, `${root}/dir`)
          fs.unlinkSync(`${root}/dir/file`)
          fs.rmSync(`${root}/dir/sub`, { recursive: true })
        })
      })
    },
    changes: ['D dir/file', 'D dir/sub'],
  },
  {
    title: 'a directory in place of a file is a modify, with adds below',
    edit(root) {
      keepTime(root, 'dir', () => {
        fs.unlinkSync(`${root}/dir/file`)
        fs.mkdirSync(`${root}/dir/file`)
        fs.writeFileSync(`${root}/dir/file/x`, '')
      })
    },
    changes: ['C dir/file', 'A dir/file/x'],
  },
  {
    title: 'a file in place of a directory is one modify',
    edit(root) {
      keepTime(root, '', () => {
        fs.rmSync(`${root}/dir`, { recursive: true })
        fs.writeFileSync(`${root}/dir`, '')
      })
    },
    changes: ['C dir'],
  },
  {
    title: 'a renamed directory is a delete and adds of all its content, with redirects',
    options: REDIRECT,
    edit: (root) => keepTime(root, '', () => fs.renameSync(`${root}/dir`, `${root}/moved`)),
    changes: ['D dir', 'A moved', 'A moved/file', 'A moved/link', 'A moved/sub', 'A moved/sub/deep'],
  },
  {
    title: 'a renamed directory that was changed before and after shows its content now',
    options: REDIRECT,
    edit(root) {
      keepTime(root, '', () => {
        fs.unlinkSync(`${root}/dir/file`)
        fs.renameSync(`${root}/dir`, `${root}/moved`)
        fs.renameSync(`${root}/moved/sub`, `${root}/sub`)
        fs.writeFileSync(`${root}/sub/more`, '')
      })
    },
    changes: ['D dir', 'A moved', 'A moved/link', 'A sub', 'A sub/deep', 'A sub/more'],
  },
  {
    title: 'a directory renamed over another one is compared with that',
    options: REDIRECT,
    edit(root) {
      keepTime(root, '', () => {
        fs.rmSync(`${root}/twin`, { recursive: true })
        fs.renameSync(`${root}/dir`, `${root}/twin`)
      })
    },
    changes: [
      'D dir',
      'C twin',
      'C twin/file',
      'A twin/link',
      'D twin/only',
      'D twin/same',
      'A twin/sub',
      'A twin/sub/deep',
    ],
  },
  {
    title: 'a directory renamed away and back is no change',
    options: REDIRECT,
    edit(root) {
      keepTime(root, '', () => {
        fs.renameSync(`${root}/dir`, `${root}/moved`)
        fs.renameSync(`${root}/moved`, `${root}/dir`)
      })
    },
    changes: [],
  },
  {
    title: 'a chmod with metacopy is a modify of that file alone',
    options: METACOPY,
    edit: (root) => fs.chmodSync(`${root}/dir/file`, 0o600),
    changes: ['C dir/file'],
  },
  {
    title: 'a chmod to the same mode with metacopy is no change',
    options: METACOPY,
    edit: (root) => fs.chmodSync(`${root}/dir/file`, 0o644),
    changes: [],
  },
  {
    title: 'a file renamed with metacopy has its content under the new name',
    options: METACOPY,
    edit: (root) => keepTime(root, 'dir', () => fs.renameSync(`${root}/dir/file`, `${root}/dir/other`)),
    changes: ['D dir/file', 'A dir/other'],
  },
  {
    title: 'a file of equal metadata but other content, moved into place with metacopy, is a modify',
    options: METACOPY,
    edit(root) {
      keepTime(root, 'dir', () => {
        keepTime(root, 'twin', () => fs.renameSync(`${root}/twin/same`, `${root}/dir/file`))
      })
    },
    changes: ['C dir/file', 'D twin/same'],
  },
  {
    title: 'a lower file whose second name is new is packed with it, and unchanged itself',
    edit: (root) => keepTime(root, 'dir', () => fs.linkSync(`${root}/dir/file`, `${root}/dir/second`)),
    changes: ['A dir/second'],
  },
  {
    title: 'a name separated from its links by a copy is a modify',
    edit(root) {
      keepTime(root, 'links', () => {
        execFileSync('cp', ['-a', `${root}/links/one`, `${root}/links/copy`])
        fs.renameSync(`${root}/links/copy`, `${root}/links/one`)
      })
    },
    changes: ['C links/one'],
  },
  {
    title: 'a delete of one of two links leaves the other unchanged',
    edit: (root) => keepTime(root, 'links', () => fs.unlinkSync(`${root}/links/one`)),
    changes: ['D links/one'],
  },
  {
    title: 'changes are in the order of the bytes of whole paths',
    edit(root) {
      keepTime(root, '', () => {
        for (const name of ['b', 'b-c', 'b.c', 'b0']) fs.mkdirSync(`${root}/${name}`)
        fs.writeFileSync(`${root}/b/x`, '')
      })
    },
    changes: ['A b', 'A b-c', 'A b.c', 'A b/x', 'A b0'],
  },
  {
    title: 'names that need escaping elsewhere are unchanged',
    edit(root) {
      keepTime(root, '', () => {
        fs.writeFileSync(Buffer.from(`${root}/a:b,c\\d \xff`, 'latin1'), '')
        fs.writeFileSync(`${root}/.wh..tmp~`, '')
      })
    },
    changes: ['A .wh..tmp~', 'A a:b,c\\d \xff'],
  },
]

function makeBase(root: string): void {
  for (const path of ['dir', 'dir/sub', 'twin', 'links']) fs.mkdirSync(`${root}/${path}`)
  fs.writeFileSync(`${root}/dir/file`, 'file')
  fs.writeFileSync(`${root}/dir/sub/deep`, 'deep')
  fs.symlinkSync('file', `${root}/dir/link`)
  fs.writeFileSync(`${root}/twin/file`, 'other')
  fs.writeFileSync(`${root}/twin/only`, 'only')
  fs.writeFileSync(`${root}/twin/same`, 'elif')
  fs.writeFileSync(`${root}/links/one`, 'one')
  fs.linkSync(`${root}/links/one`, `${root}/links/two`)
  for (const path of ['dir/file', 'twin/same']) fs.utimesSync(`${root}/${path}`, 5000, 5000)
  for (const [i, path] of ['dir/sub', 'dir', 'twin', 'links', ''].entries()) {
    fs.utimesSync(`${root}/${path}`, 1000 + i, 1000 + i)
  }
}

/** Runs `edit` and restores the time of `path`, to the nanosecond. */
function keepTime(root: string, path: string, edit: () => void): void {
  const { mtimeNs } = fs.lstatSync(`${root}/${path}`, { bigint: true })
  edit()
  const seconds = `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`
  execFileSync('touch', ['-h', '-d', `@${seconds}`, `${root}/${path}`])
}

describe('the changes of an overlay layer', () => {
  for (const { title, options = {}, edit, changes } of CASES) {
    it(title, () =>
      withBench(overlay, options, async (bench) => {
        const base = await bench.written(undefined, makeBase)
        const child = await bench.written(base, edit)
        const found = await bench.changes(child)
        const letters = { add: 'A', modify: 'C', delete: 'D' } as const
        assert.deepEqual(
          found.map(({ kind, path }) => `${letters[kind]} ${path}`),
          changes,
        )
      }),
    )
  }
})
