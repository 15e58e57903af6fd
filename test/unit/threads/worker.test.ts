import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { runInWorker, type WorkerOptions } from '../../../core/threads/worker.js'
import type { ThreadTask } from './worker-script.js'

const SCRIPT = new URL('./worker-script.js', import.meta.url)

function run(task: ThreadTask = {}, options: WorkerOptions<number> = {}): Promise<number> {
  return runInWorker<ThreadTask, number, number>(SCRIPT, task, options)
}

/** A thread waits at the gate until it opens. */
function gate(): { readonly wait: SharedArrayBuffer; open(): void } {
  const wait = new SharedArrayBuffer(4)
  const flag = new Int32Array(wait)
  return {
    wait,
    open() {
      Atomics.store(flag, 0, 1)
      Atomics.notify(flag, 0)
    },
  }
}

test('a thread that did its job well gets the next one, and each job gets its own messages', async () => {
  const told: number[][] = [[], []]
  const first = await run({ posts: 3 }, { message: (each) => told[0]?.push(each) })
  const second = await run({ posts: 2 }, { message: (each) => told[1]?.push(each) })
  assert.equal(second, first)
  assert.deepEqual(told, [
    [0, 1, 2],
    [0, 1],
  ])
})

test('a thread whose job failed gets no other job', async () => {
  const good = await run()
  // The idle thread gets the job that fails.
  await assert.rejects(run({ fail: true }), { code: 'CORRUPT', message: 'as it was told' })
  assert.notEqual(await run(), good)
})

test('a thread whose job was aborted gets no other job, whether it had begun or not', async () => {
  for (const hasBegun of [true, false]) {
    const good = await run()
    const { wait, open } = gate()
    const controller = new AbortController()
    const { signal } = controller
    const told: number[] = []
    const message = (each: number) => {
      told.push(each)
      controller.abort()
    }
    if (!hasBegun) controller.abort()
    const running = run(hasBegun ? { posts: 1, wait } : { wait }, { signal, onAbort: open, message })
    await assert.rejects(running, { code: 'CANCELLED' })
    assert.deepEqual(told, hasBegun ? [0] : [])
    assert.notEqual(await run(), good)
  }
})

test('a listener that throws and a signal that aborts after it call onAbort once', async () => {
  const { wait, open } = gate()
  const controller = new AbortController()
  let aborts = 0
  const message = () => {
    queueMicrotask(() => controller.abort())
    throw new Error('unwanted')
  }
  const onAbort = () => {
    aborts++
    open()
  }
  await assert.rejects(run({ posts: 1, wait }, { signal: controller.signal, onAbort, message }), {
    code: 'CANCELLED',
  })
  assert.equal(aborts, 1)
})

test('a job that can not be sent is an error, and its thread gets no other job', async () => {
  const good = await run()
  const task = { posts: () => 0 } as unknown as ThreadTask
  await assert.rejects(run(task), { name: 'DataCloneError' })
  assert.notEqual(await run(), good)
})

test('a thread whose listener threw gets no other job, and the error is the listener’s', async () => {
  const good = await run()
  const unwanted = new Error('unwanted')
  const message = () => {
    throw unwanted
  }
  await assert.rejects(run({ posts: 2 }, { message }), unwanted)
  assert.notEqual(await run(), good)
})

test('concurrent jobs have a thread each', async () => {
  const { wait, open } = gate()
  const jobs = [run({ wait }), run({ wait }), run({ wait })]
  open()
  assert.equal(new Set(await Promise.all(jobs)).size, 3)
})

test('a thread that waits for a job keeps no process alive', () => {
  // If the process had to wait for it, it would be another thread by then.
  const program = `
    import { runInWorker } from ${JSON.stringify(new URL('../../../core/threads/worker.js', import.meta.url).href)}
    const run = () => runInWorker(new URL(${JSON.stringify(SCRIPT.href)}), {})
    const first = await run()
    process.once('beforeExit', async () => console.log((await run()) === first))`
  const same = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  })
  assert.equal(same, 'true\n')
})
