/** A tree's changes, packed and applied to an equal tree, give an equal tree. */
import assert from 'node:assert/strict'
import { linkSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { isCode } from '../../../core/errors.js'
import { mergeSync } from '../../../core/extract/merge.js'
import { pack } from '../../../core/pack/pack.js'
import { packChanges, packDifference } from '../../../core/pack/pack-changes.js'
import { removeTree, utimens } from '../../../core/sys/files.js'
import { lstat } from '../../../core/sys/stat.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { compareInThread, compareTrees } from '../../../core/tree/compare.js'
import { copyTree, copyTreeSync } from '../../../core/tree/copy.js'
import { randomRuns } from '../../support/seed.js'
import { edit, makeTree, randomOf } from './edits.js'
import { type Bench, bench, describe, extractTar } from './support.js'

test('200 random edits are reproduced exactly, whatever they do', async (t) => {
  const base = bench(t)
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = randomOf(seed)
      makeTree(`${base.root}/old`, random)
      fresh(`${base.root}/new`)
      copyTreeSync(`${base.root}/old`, `${base.root}/new`)
      assert.deepEqual(describe(`${base.root}/new`), describe(`${base.root}/old`))
      edit(`${base.root}/new`, random)
      try {
        await roundTrip(base, `${base.root}/old`, `${base.root}/new`)
      } finally {
        for (const name of ['old', 'new', 'copy', 'upper']) removeTree(`${base.root}/${name}`)
      }
    }),
    randomRuns(200),
  )
})

async function roundTrip(base: Bench, old: string, now: string): Promise<void> {
  const changes = [...compareTrees(old, now)]
  const paths = changes.map(({ path }) => path)
  assert.deepEqual(paths, [...new Set(paths)].sort(), 'sorted by bytes, each once')
  assertComplete(old, now, changes)
  const tar = tarOfDifference(old, now)
  assert.ok(tar.equals(tarOfDifference(old, now)), 'the same bytes twice')
  fresh(`${base.root}/copy`)
  copyTreeSync(old, `${base.root}/copy`)
  fresh(base.upper)
  const { whiteouts, opaques } = await extractTar(base, tar, { lower: old })
  mergeSync({ layer: base.upper, target: `${base.root}/copy`, whiteouts, opaques })
  assert.deepEqual(describe(`${base.root}/copy`), describe(now))
  assert.deepEqual([...compareTrees(now, `${base.root}/copy`)], [])
}

/** Compares with another method: the printed lines of both trees. Hard links may be listed in addition. */
function assertComplete(old: string, now: string, changes: readonly { path: string; kind: string }[]): void {
  const lines = (root: string) =>
    new Map(
      describe(root).map((line) => [line.slice(0, line.search(/ \d{5,6} /)), line.replace(/ = .*$/s, '')]),
    )
  const [before, after] = [lines(old), lines(now)]
  const found = new Map(changes.map(({ path, kind }) => [path === '' ? '.' : path, kind]))
  for (const [path, line] of after) {
    const was = before.get(path)
    if (was === undefined) assert.equal(found.get(path), 'add', path)
    else if (was !== line) assert.equal(found.get(path), 'modify', path)
    else if (found.has(path))
      assert.ok(lstat(`${now}/${path}`).nlink > 1 || lstat(`${old}/${path}`).nlink > 1, path)
  }
  for (const path of before.keys()) {
    if (!after.has(path)) {
      const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
      const parentThere = above === '' || / 4\d{4} /.test(after.get(above) ?? '')
      assert.equal(found.get(path), parentThere ? 'delete' : undefined, path)
    }
  }
}

function tarOfDifference(old: string | undefined, now: string): Buffer {
  const chunks: Buffer[] = []
  pack(now, compareTrees(old, now), { emit: (bytes) => chunks.push(Buffer.from(bytes)) })
  return Buffer.concat(chunks)
}

test('a same-size edit with its mtime put back is found', (t) => {
  const { root } = pair(t)
  writeFileSync(`${root}/new/f`, 'CONTENT')
  utimens(`${root}/new/f`, { sec: 1, nsec: 2 })
  utimens(`${root}/new`, { sec: 1, nsec: 2 })
  assert.deepEqual([...compareTrees(`${root}/old`, `${root}/new`)], [{ path: 'f', kind: 'modify' }])
})

test('a new link to an unchanged file includes the file, so that both stay one', async (t) => {
  const base = pair(t)
  const { root } = base
  linkSync(`${root}/new/f`, `${root}/new/a`)
  linkSync(`${root}/new/f`, `${root}/new/z`)
  utimens(`${root}/new`, { sec: 1, nsec: 2 })
  assert.deepEqual(
    [...compareTrees(`${root}/old`, `${root}/new`)],
    [
      { path: 'a', kind: 'add' },
      { path: 'z', kind: 'add' },
    ],
  )
  await roundTrip(base, `${root}/old`, `${root}/new`)
})

test('a link group that was separated is found', async (t) => {
  const base = pair(t)
  const { root } = base
  linkSync(`${root}/old/f`, `${root}/old/g`)
  copyTreeSync(`${root}/old`, fresh(`${root}/apart`))
  writeFileSync(`${root}/apart/h`, 'content')
  utimens(`${root}/apart/h`, { sec: 1, nsec: 2 })
  renameSync(`${root}/apart/h`, `${root}/apart/g`)
  utimens(`${root}/apart`, lstatTime(`${root}/old`))
  assert.deepEqual([...compareTrees(`${root}/old`, `${root}/apart`)], [{ path: 'g', kind: 'modify' }])
})

test('a tree against nothing is all additions, and its tar reproduces it', async (t) => {
  const base = bench(t)
  makeTree(`${base.root}/tree`, randomOf(7))
  const chunks: Buffer[] = []
  for await (const chunk of packDifference(`${base.root}/tree`, undefined)) chunks.push(Buffer.from(chunk))
  await extractTar(base, Buffer.concat(chunks))
  assert.deepEqual(describe(base.upper), describe(`${base.root}/tree`))
  assert.ok((await compareInThread(undefined, `${base.root}/tree`)).every(({ kind }) => kind === 'add'))
})

test('a socket is left out with a notice', async (t) => {
  const base = bench(t)
  const server = createServer().listen(`${base.upper}/socket`)
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const notices: string[] = []
  const options = { notice: (text: string) => notices.push(text) }
  for await (const chunk of packChanges(base.upper, [{ path: 'socket', kind: 'add' }], options)) void chunk
  assert.match(notices.join(), /socket/)
})

test('a name reserved for whiteouts is refused, and the error names it', async (t) => {
  const base = bench(t)
  writeFileSync(`${base.upper}/.wh.x`, '')
  const tar = packDifference(base.upper, undefined)
  await assert.rejects(
    async () => {
      for await (const chunk of tar) void chunk
    },
    (error) => isCode(error, 'FAILED_PRECONDITION') && error.message.includes('.wh.x'),
  )
})

test('whiteouts have a fixed time: 1970, or SOURCE_DATE_EPOCH', async (t) => {
  const { root } = pair(t)
  removeTree(`${root}/new/f`)
  const times = () => {
    const found: unknown[] = []
    const parser = createTarParser({ entry: ({ path, mtime }) => found.push([path, mtime.sec]) })
    parser.push(tarOfDifference(`${root}/old`, `${root}/new`))
    parser.end()
    return found.slice(1)
  }
  assert.deepEqual(times(), [['.wh.f', 0]])
  process.env.SOURCE_DATE_EPOCH = '8'
  t.after(() => delete process.env.SOURCE_DATE_EPOCH)
  assert.deepEqual(times(), [['.wh.f', 8]])
})

test('a diff that is left early or aborted ends its thread', async (t) => {
  const base = bench(t)
  for (let i = 0; i < 40; i++) writeFileSync(`${base.upper}/${i}`, Buffer.alloc(1 << 20, 1))
  for await (const chunk of packDifference(base.upper, undefined)) {
    assert.ok(chunk.length > 0)
    break
  }
  const stop = new AbortController()
  await assert.rejects(
    async () => {
      for await (const chunk of packDifference(base.upper, undefined, { signal: stop.signal })) {
        void chunk
        stop.abort()
      }
    },
    (error) => isCode(error, 'CANCELLED'),
  )
})

test('an aborted copy is CANCELLED', async (t) => {
  const base = pair(t)
  await assert.rejects(
    copyTree(`${base.root}/old`, fresh(`${base.root}/copy`), { signal: AbortSignal.abort() }),
    (error) => isCode(error, 'CANCELLED'),
  )
})

/** Two equal trees, `old` and `new`, with a file `f`. */
function pair(t: TestContext): Bench {
  const base = bench(t)
  mkdirSync(`${base.root}/old`)
  writeFileSync(`${base.root}/old/f`, 'content')
  utimens(`${base.root}/old/f`, { sec: 1, nsec: 2 })
  utimens(`${base.root}/old`, { sec: 1, nsec: 2 })
  copyTreeSync(`${base.root}/old`, fresh(`${base.root}/new`))
  return base
}

function fresh(path: string): string {
  removeTree(path)
  mkdirSync(path)
  return path
}

function lstatTime(path: string): { sec: number; nsec: number } {
  const { mtimeSec, mtimeNsec } = lstat(path)
  return { sec: mtimeSec, nsec: mtimeNsec }
}
