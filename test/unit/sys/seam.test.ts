import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { readdir } from '../../../core/sys/files.js'
import { counts, resetCounts, totalCalls } from '../../../core/sys/seam.js'
import { lstat, lstatOrUndefined } from '../../../core/sys/stat.js'
import { scratch } from './scratch.js'

const CHILD = fileURLToPath(new URL('./seam-child.js', import.meta.url))

const FAULTS = [
  { fault: undefined, killed: false, made: ['one', 'three', 'two'] },
  { fault: 'kill:no-such-point', killed: false, made: ['one', 'three', 'two'] },
  { fault: 'kill:before-one', killed: true, made: [] },
  { fault: 'kill:after-one', killed: true, made: ['one'] },
  { fault: 'kill:before-three', killed: true, made: ['one', 'two'] },
  { fault: 'kill:mkdir:two:done', killed: true, made: ['one', 'two'] },
  { fault: 'kill:call:1', killed: true, made: [] },
  { fault: 'kill:call:3', killed: true, made: ['one', 'two'] },
  { fault: 'kill:call:4', killed: false, made: ['one', 'three', 'two'] },
  { fault: 'kill:mkdir:2', killed: true, made: ['one'] },
  { fault: 'ENOSPC:call:2', killed: false, made: ['failed-two-ENOSPC', 'one', 'three'] },
  { fault: 'EUCLEAN:mkdir:3', killed: false, made: ['failed-three-EUCLEAN', 'one', 'two'] },
]

for (const mode of ['main', 'worker']) {
  for (const { fault, killed, made } of FAULTS) {
    test(`in a ${mode} thread ${fault ?? 'no fault'} leaves ${made.join(', ') || 'nothing'}`, (t) => {
      const root = scratch(t)
      const child = run(t, mode, root, fault)
      assert.equal(child.signal, killed ? 'SIGKILL' : null, child.stderr)
      assert.deepEqual(readdirSync(root).sort(), made)
    })
  }
}

for (const fault of [
  'kill',
  'kill:call:x',
  'kill:call:0',
  'ENOSPC:point',
  'ENONSENSE:call:1',
  'EIO:nocall:1',
]) {
  test(`VARVE_FAULT=${fault} is refused rather than passed over`, (t) => {
    const child = run(t, 'main', scratch(t), fault)
    assert.equal(child.status, 1)
    assert.match(child.stderr, /INVALID_ARGUMENT/)
    assert.match(child.stderr, new RegExp(`VARVE_FAULT: '${fault}'`))
  })
}

test('the calls of all threads are counted together, by name', (t) => {
  const child = run(t, 'worker', scratch(t), undefined)
  const counted = JSON.parse(child.stdout) as { counts: [string, number][]; total: number; changing: number }
  // The main thread's readdir and the worker's three; each reads its directory to the end with two calls.
  assert.deepEqual(Object.fromEntries(counted.counts), { mkdir: 3, open: 4, getdents: 8, close: 4 })
  assert.equal(counted.total, 19)
  assert.equal(counted.changing, 3)
})

test('counts begin at zero after a reset', (t) => {
  const root = scratch(t)
  readdir(root)
  resetCounts()
  assert.equal(totalCalls(), 0)
  lstat(root)
  lstatOrUndefined(`${root}/no`)
  assert.deepEqual([...counts()], [['lstat', 2]])
})

function run(t: TestContext, mode: string, root: string, fault: string | undefined) {
  const env = { ...process.env, VARVE_FAULT: fault ?? '' }
  t.diagnostic(`VARVE_FAULT=${fault ?? ''}`)
  return spawnSync(process.execPath, [CHILD, mode, root], { env, encoding: 'utf8' })
}
