import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { close } from '../../../core/sys/files.js'
import { enterJail, prepareJails } from '../../../core/sys/jail.js'
import { detached } from '../../../core/sys/mount/detached.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import type { JailTask } from './jail-worker.js'
import { errno, scratch } from './scratch.js'

interface Told {
  readonly error?: string
  readonly found: readonly string[]
  readonly escaped: readonly string[]
  readonly second: string
  readonly before: object
  readonly after: object
  readonly back: readonly string[]
}

const WORKER = new URL('./jail-worker.js', import.meta.url)

test('no call of a jailed thread leaves the jail, whatever links are in it; other threads see the whole tree', async (t) => {
  const { jail, outside } = hostileTree(t)
  await prepareJails()
  const telling = work({ dir: jail, outside, cycles: 200 })
  const others = setInterval(() => assert.deepEqual(fs.readdirSync(outside).sort(), ['secret']), 1)
  const pool = setInterval(
    () => void fs.promises.readdir(outside).then((names) => assert.equal(names.length, 1)),
    1,
  )
  const told = await telling
  clearInterval(others)
  clearInterval(pool)
  assert.equal(told.error, undefined)
  assert.deepEqual(told.found, ['absolute', 'chain', 'in', 'up'])
  assert.deepEqual(told.escaped, [])
  assert.match(told.second, /FAILED_PRECONDITION|in a jail already/)
  // Root, working directory and umask are as before, and 200 jails leave no descriptor.
  assert.deepEqual(told.after, told.before)
  assert.deepEqual(told.back, ['secret'])
  assert.equal(fs.readFileSync(`${outside}/secret`, 'utf8'), 'secret')
  assert.equal(fs.statSync(`${jail}/in/of-umask-0`).mode & 0o777, 0o777)
  assert.equal(fs.readlinkSync(`${jail}/in/etc`), '/etc')
})

test('a detached mount is a jail by its descriptor', async (t) => {
  const { root, jail, outside } = hostileTree(t)
  for (const name of ['u', 'w']) fs.mkdirSync(`${root}/${name}`)
  const options = [`lowerdir=${jail}`, `upperdir=${root}/u`, `workdir=${root}/w`]
  const { fd } = await detached([{ type: 'overlay', source: 'overlay', options }])
  await prepareJails()
  const told = await work({ dir: fd, outside, cycles: 3 })
  close(fd)
  assert.equal(told.error, undefined)
  assert.deepEqual([told.escaped, told.after], [[], told.before])
  assert.deepEqual(fs.readdirSync(`${root}/u/in`).sort(), ['etc', 'of-umask-0'])
})

test('a jailed thread that is terminated leaves no descriptor and no trace', async (t) => {
  const { jail, outside } = hostileTree(t)
  await prepareJails()
  const before = openDescriptors()
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(WORKER, { workerData: { dir: jail, outside, cycles: 0, stay: true } })
    await new Promise((resolve) => worker.once('message', resolve))
    await worker.terminate()
  }
  await assertNoneLeft(before)
  assert.deepEqual(fs.readdirSync(outside), ['secret'])
})

test('a missing jail is an error, and the thread is unchanged', async (t) => {
  const { jail, outside } = hostileTree(t)
  await prepareJails()
  assert.match((await work({ dir: `${jail}/no`, outside, cycles: 0 })).error ?? '', /ENOENT/)
  assert.match((await work({ dir: `${outside}/secret`, outside, cycles: 0 })).error ?? '', /ENOTDIR/)
})

test('the main thread is never jailed, and no thread before the pool is up', (t) => {
  const { jail, outside } = hostileTree(t)
  assert.throws(() => enterJail(jail), errno('FAILED_PRECONDITION'))
  const script = `
    const { Worker } = await import('node:worker_threads')
    const workerData = ${JSON.stringify({ dir: jail, outside, cycles: 0 })}
    new Worker(new URL(process.argv[1]), { workerData, execArgv: [] }).on('message', (told) => console.log(told.error))`
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script, WORKER.href], {
    encoding: 'utf8',
  })
  assert.match(child.stdout, /prepareJails\(\) was not awaited/)
})

/** A jail full of links that lead out, beside a directory with a secret. */
function hostileTree(t: TestContext) {
  const root = fs.realpathSync(scratch(t))
  const [jail, outside] = [`${root}/jail`, `${root}/outside`]
  fs.mkdirSync(`${jail}/in`, { recursive: true })
  fs.mkdirSync(outside)
  fs.writeFileSync(`${outside}/secret`, 'secret')
  fs.symlinkSync('../outside', `${jail}/up`)
  fs.symlinkSync(outside, `${jail}/absolute`)
  fs.symlinkSync('in/../../../../../../../../../../../absolute', `${jail}/chain`)
  return { root, jail, outside }
}

function work(task: JailTask): Promise<Told> {
  const worker = new Worker(WORKER, { workerData: task })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}
