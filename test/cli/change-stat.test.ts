import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { withVarve } from '../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../unit/formats/build.js'

const BASE = tarOf({
  'zones/': '',
  'zones/one': Buffer.alloc(1000),
  'zones/deep/': '',
  'zones/deep/two': Buffer.alloc(2000),
  'zones/deep/link': '->two',
  'zones-not/': '',
  'zones-not/kept': Buffer.alloc(50),
  'turned/': '',
  'turned/three': Buffer.alloc(300),
  empty: '',
})
const TOP = tarOf({ '.wh.zones': '', turned: Buffer.alloc(7), 'new/': '', 'new/file': Buffer.alloc(40) })

test('diff --stat counts the content of a directory that was deleted or replaced', async () => {
  await withVarve('vfs', async ({ varve, json }, work) => {
    const archive = join(work, 'image.tar')
    writeFileSync(archive, tarOf(dockerContent([{ ...imageOf([BASE, TOP]), tags: ['app:1'] }])))
    await varve('import', archive)
    const expected = [
      { path: '/new', kind: 'add', before: 0, after: 0 },
      { path: '/new/file', kind: 'add', before: 0, after: 40 },
      { path: '/turned', kind: 'modify', before: 300, after: 7 },
      { path: '/zones', kind: 'delete', before: 3000, after: 0 },
      { total: { added: 2, modified: 1, deleted: 1, grown: 40, shrunk: 3293 } },
    ]
    for (const words of [['app:1#1'], ['app:1#0', 'app:1#1'], ['app:1#0', 'app:1']]) {
      const stats = await json<{ path?: string }>('diff', ...words, '--stat')
      assert.deepEqual(
        stats.filter(({ path }) => path !== '/'),
        expected,
        words.join(' '),
      )
      const text = await varve('diff', ...words, '--stat')
      assert.match(text, /\n \/zones +\| -2\.9 KiB {2}\(gone\)\n/)
      assert.match(text, /; \+40 B, -3\.2 KiB\n$/)
    }
    const back = await json<{ total?: { shrunk: number; grown: number } }>(
      'diff',
      'app:1',
      'app:1#0',
      '--stat',
    )
    const { grown, shrunk } = back.at(-1)?.total ?? assert.fail()
    assert.deepEqual({ grown, shrunk }, { grown: 3300, shrunk: 47 })
  })
})
