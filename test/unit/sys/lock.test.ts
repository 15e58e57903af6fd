import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { lock, lockIn, tryLock, tryLockIn } from '../../../core/sys/lock.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { errno, scratch } from './scratch.js'

const CHILD = fileURLToPath(new URL('./lock-child.js', import.meta.url))

test('a lock has one holder at a time, also in one process; its file exists only with the lock', (t) => {
  const file = `${scratch(t)}/lock\xff`
  const first = tryLock(file)
  assert.notEqual(first, undefined)
  assert.equal(fs.statSync(Buffer.from(file, 'latin1')).mode & 0o777, 0o600)
  assert.equal(tryLock(file), undefined)
  first?.release()
  first?.release()
  assert.equal(fs.existsSync(Buffer.from(file, 'latin1')), false)
  const second = tryLock(file)
  first?.release()
  assert.equal(tryLock(file), undefined, 'an old holder must not release the new one’s lock')
  second?.release()
})

for (const end of ['killed', 'done'] as const) {
  test(`another process holds it until it is ${end}, then it is free`, async (t) => {
    const file = `${scratch(t)}/lock`
    const child = await holder(t, file)
    assert.equal(tryLock(file), undefined)
    const waiting = lock(file)
    if (end === 'killed') child.kill('SIGKILL')
    else child.stdin.end()
    const held = await waiting
    assert.equal(tryLock(file), undefined)
    held.release()
    assert.equal(fs.existsSync(file), false)
  })
}

test('a terminated thread no longer holds a lock', async (t) => {
  const file = `${scratch(t)}/lock`
  const worker = new Worker(CHILD, { argv: [file], stdout: true, stdin: true })
  await once(worker.stdout, 'data')
  assert.equal(tryLock(file), undefined)
  await worker.terminate()
  tryLock(file)?.release()
  assert.equal(fs.existsSync(file), false)
})

test('an abort ends the wait at once, and takes nothing', async (t) => {
  const file = `${scratch(t)}/lock`
  const held = tryLock(file)
  const before = openDescriptors()
  const abort = new AbortController()
  const waiting = lock(file, { signal: abort.signal })
  setTimeout(() => abort.abort(), 30)
  await assert.rejects(waiting, errno('CANCELLED'))
  await assert.rejects(lock(file, { signal: AbortSignal.abort() }), errno('CANCELLED'))
  await assertNoneLeft(before)
  held?.release()
  ;(await lock(file, { signal: new AbortController().signal })).release()
})

test('twenty waiters get the lock one after the other, with its file unlinked each time', async (t) => {
  const file = `${scratch(t)}/lock`
  let inside = 0
  let turns = 0
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const held = await lock(file)
      assert.equal(++inside, 1)
      await new Promise((resolve) => setTimeout(resolve, 1))
      inside--
      turns++
      held.release()
    }),
  )
  assert.equal(turns, 20)
  assert.equal(fs.existsSync(file), false)
})

test('names in one file are separate locks, and the file stays', (t) => {
  const file = `${scratch(t)}/lock\xff`
  const before = openDescriptors()
  const first = tryLockIn(file, 'one')
  const other = tryLockIn(file, 'two')
  assert.ok(first && other)
  assert.equal(tryLockIn(file, 'one'), undefined)
  first.release()
  first.release()
  const second = tryLockIn(file, 'one')
  first.release()
  assert.equal(tryLockIn(file, 'one'), undefined, 'an old holder must not release the new one’s lock')
  assert.equal(tryLockIn(file, 'two'), undefined)
  second?.release()
  other.release()
  const { mode, size } = fs.statSync(Buffer.from(file, 'latin1'))
  assert.deepEqual([mode & 0o777, size], [0o600, 0])
  assert.equal(openDescriptors(), before)
})

for (const end of ['killed', 'done'] as const) {
  test(`another process holds a name until it is ${end}, then it is free`, async (t) => {
    const file = `${scratch(t)}/lock`
    const child = await holder(t, file, 'name')
    assert.equal(tryLockIn(file, 'name'), undefined)
    tryLockIn(file, 'free')?.release()
    const waiting = lockIn(file, 'name')
    if (end === 'killed') child.kill('SIGKILL')
    else child.stdin.end()
    const held = await waiting
    assert.equal(tryLockIn(file, 'name'), undefined)
    held.release()
    tryLockIn(file, 'name')?.release()
  })
}

test('a name is free once the thread that held it is terminated', async (t) => {
  const file = `${scratch(t)}/lock`
  const worker = new Worker(CHILD, { argv: [file, 'name'], stdout: true, stdin: true })
  await once(worker.stdout, 'data')
  assert.equal(tryLockIn(file, 'name'), undefined)
  await worker.terminate()
  const held = tryLockIn(file, 'name')
  assert.ok(held)
  held.release()
})

test('a thousand names are a thousand locks', (t) => {
  const file = `${scratch(t)}/lock`
  const held = Array.from({ length: 1000 }, (_, i) => tryLockIn(file, `name ${i}`))
  assert.ok(held.every((each) => each !== undefined))
  for (const each of held) each.release()
})

const isRoot = process.getuid?.() === 0

test('a lock file that root creates in another user’s directory belongs to that user', {
  skip: isRoot ? false : 'only root can give files away',
}, (t) => {
  const directory = scratch(t)
  fs.chownSync(directory, 65_534, 65_533)
  tryLockIn(`${directory}/lock`, 'name')?.release()
  const { uid, gid } = fs.statSync(`${directory}/lock`)
  assert.deepEqual([uid, gid], [65_534, 65_533])
})

test('a path that can’t be a lock is an error', (t) => {
  const root = scratch(t)
  fs.symlinkSync('elsewhere', `${root}/link`)
  assert.throws(() => tryLock(`${root}/no/lock`), errno('ENOENT'))
  assert.throws(() => tryLock(`${root}/link`), errno('ELOOP'))
  assert.throws(() => tryLock(root), errno('EISDIR'))
  assert.throws(() => tryLockIn(`${root}/no/lock`, 'name'), errno('ENOENT'))
  assert.throws(() => tryLockIn(`${root}/link`, 'name'), errno('ELOOP'))
  assert.throws(() => tryLockIn(root, 'name'), errno('EISDIR'))
})

/** Starts a process that holds the lock of a file, or of a name in it. */
async function holder(t: TestContext, ...args: readonly string[]) {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  t.after(() => {
    child.kill('SIGKILL')
    return ended
  })
  await once(child.stdout, 'data')
  return child
}
