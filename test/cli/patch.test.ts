import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { patchText } from '../../cli/print/patch.js'
import type { DetailedChange, FileInfo } from '../../core/api/store.js'
import { file } from './fake.js'

const folder = mkdtempSync(join(tmpdir(), 'varve-patch-'))
after(() => rmSync(folder, { recursive: true }))

const before = new Map<string, string>([
  ['same-mode', 'one\ntwo\nthree\n'],
  ['script', 'echo\n'],
  ['gone', 'bye\n'],
  ['turned', 'was a file\n'],
  ['binary', 'a\0b'],
])
const now = new Map<string, string>([
  ['same-mode', 'one\n2\nthree'],
  ['script', 'echo\n'],
  ['new', 'hello\n'],
  ['binary', 'a\0c'],
])

function change(path: string, old: FileInfo | undefined, young: FileInfo | undefined): DetailedChange {
  const kind = old === undefined ? 'add' : young === undefined ? 'delete' : 'modify'
  return { path, kind, before: old, after: young }
}

function patch(one: DetailedChange): Promise<string> {
  const read = (side: ReadonlyMap<string, string>) => (info: FileInfo) =>
    Promise.resolve(Buffer.from(side.get(info.path) ?? ''))
  return patchText(one, read(before), read(now))
}

test('git applies the patch: changes, a mode, new and deleted files, a file that became a symlink', async () => {
  for (const name of ['same-mode', 'script', 'gone', 'turned']) {
    writeFileSync(join(folder, name), before.get(name) ?? '')
  }
  symlinkSync('old-target', join(folder, 'link'))
  const link = (target: string) => file('link', { type: 'symlink', target })
  const changes = [
    change('gone', file('gone'), undefined),
    change('link', link('old-target'), link('new-target')),
    change('new', undefined, file('new')),
    change('same-mode', file('same-mode'), file('same-mode')),
    change('script', file('script'), file('script', { mode: 0o755 })),
    change('turned', file('turned'), file('turned', { type: 'symlink', target: 'new' })),
  ]
  const patches = await Promise.all(changes.map(patch))
  const result = spawnSync('git', ['apply', '-'], { input: patches.join(''), cwd: folder, encoding: 'utf8' })
  assert.equal(result.status, 0, patches.join('') + result.stderr)
  assert.equal(readFileSync(join(folder, 'same-mode'), 'utf8'), 'one\n2\nthree')
  assert.equal(readFileSync(join(folder, 'new'), 'utf8'), 'hello\n')
  assert.equal(readlinkSync(join(folder, 'link')), 'new-target')
  assert.equal(readlinkSync(join(folder, 'turned')), 'new')
  assert.equal(lstatSync(join(folder, 'script')).mode & 0o111, 0o111)
  assert.throws(() => lstatSync(join(folder, 'gone')))
})

test('binary files are said to differ', async () => {
  assert.match(
    await patch(change('binary', file('binary'), file('binary'))),
    /^diff --git a\/binary b\/binary\nBinary files a\/binary and b\/binary differ\n$/,
  )
})

test('directories, devices and mere changes of owner give no patch', async () => {
  assert.equal(
    await patch(change('d', file('d', { type: 'directory' }), file('d', { type: 'directory' }))),
    '',
  )
  assert.equal(await patch(change('c', undefined, file('c', { type: 'char' }))), '')
  assert.equal(await patch(change('script', file('script'), file('script', { uid: 5 }))), '')
})
