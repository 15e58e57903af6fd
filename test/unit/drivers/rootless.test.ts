import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'

const SCRIPT = fileURLToPath(new URL('./rootless-script.js', import.meta.url))

it('vfs does all its work for a user other than root', () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'varve-rootless-'))
  try {
    fs.chownSync(folder, 65534, 65534)
    const args = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, SCRIPT, folder]
    const said = JSON.parse(execFileSync('setpriv', args, { encoding: 'utf8', cwd: '/' }))
    assert.deepEqual(said.changes, [
      'modify ',
      'modify dir',
      'modify dir/file',
      'add dir/new',
      'delete gone',
      'add linked',
    ])
    assert.equal(said.again, true, 'the same diff from the copy')
    assert.deepEqual(said.left, [])
    assert.match(said.notices.join('\n'), /device|null/)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
})
