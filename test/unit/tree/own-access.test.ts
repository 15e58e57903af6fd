import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('./own-access-script.js', import.meta.url))

interface Said {
  readonly before: Readonly<Record<string, string>>
  readonly after: Readonly<Record<string, string>>
  readonly changes: readonly unknown[]
  readonly inodes: number
  readonly entries: number
  readonly contents: readonly string[]
  readonly merged: unknown
  readonly result: unknown
}

describe('modes that lock a user other than root out of his own tree', () => {
  let said: Said
  before(() => {
    const folder = fs.mkdtempSync(join(tmpdir(), 'varve-own-access-'))
    try {
      fs.chownSync(folder, 65534, 65534)
      const args = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, SCRIPT, folder]
      said = JSON.parse(execFileSync('setpriv', args, { encoding: 'utf8', cwd: '/' }))
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
  })

  it('do not prevent walking, measuring, packing and reading, also through a symlink', () => {
    assert.equal(Object.keys(said.before).length, 15)
    assert.equal(said.inodes, 14, 'a hard link counts once')
    assert.equal(said.entries, 15)
    assert.deepEqual(said.contents, ['secret', 'still here', 'no r'])
  })

  it('are unchanged afterwards', () => {
    assert.equal(said.before['odd/deep/er'], '0')
    assert.equal(said.before.searched, '311')
    assert.deepEqual(said.after, said.before)
  })

  it('are copied, and the copy compares equal', () => {
    assert.deepEqual(said.changes, [])
  })

  it('do not prevent a merge, which keeps the layer’s modes and times', () => {
    assert.deepEqual(said.merged, { moved: 3, merged: 6, removed: 3 })
    assert.deepEqual(said.result, {
      '': '511 2',
      link: '777',
      linked: '0',
      moved: '500 2',
      'moved/file': '644',
      odd: '755',
      'odd/deep': '100 2',
      'odd/deep/er': '0 2',
      'odd/deep/er/more': '644',
      'odd/deep/er/still': '0',
      readable: '444',
      searched: '311',
      shadow: '0',
      usr: '555 2',
      'usr/bin': '555 2',
      'usr/bin/new': '644',
    })
  })
})
