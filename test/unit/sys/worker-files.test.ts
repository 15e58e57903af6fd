import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { scratch } from './scratch.js'

test('descriptors of a terminated worker are closed, and Node has no warning about any', async (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, '')
  const warnings: string[] = []
  const warn = (warning: Error) => warnings.push(String(warning))
  process.on('warning', warn)
  t.after(() => process.off('warning', warn))
  const before = openDescriptors()
  const worker = new Worker(new URL('./worker-files-worker.js', import.meta.url), {
    workerData: root,
    stderr: true,
  })
  let said = ''
  worker.stderr.on('data', (chunk) => {
    said += chunk
  })
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  const during = fs.readdirSync('/proc/self/fd').map((fd) => link(fd))
  assert.equal(during.filter((path) => path === `${root}/f`).length, 1)
  await worker.terminate()
  await assertNoneLeft(before)
  assert.deepEqual([warnings, said], [[], ''])
})

function link(fd: string): string {
  try {
    return fs.readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    // The descriptor of the listing itself.
    return ''
  }
}
