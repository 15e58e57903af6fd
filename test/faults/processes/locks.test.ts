/** A lock ends with its process: right after a kill, another process can take it. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createLayerLocks } from '../../../core/graph/locks.js'
import { endOf } from '../../support/namespace.js'
import { countCases, sized } from '../size.js'

const HOLDER = fileURLToPath(new URL('holder-main.js', import.meta.url))

test('the locks of a killed process are free at once, at the first try', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-locks-'))
  try {
    const locks = createLayerLocks(folder)
    const rounds = sized(3, 30)
    for (let round = 0; round < rounds; round++) {
      const holder = fork(HOLDER, [folder, 'abc', 'def'])
      const ended = endOf(holder)
      await Promise.race([
        once(holder, 'message'),
        ended.then((why) => assert.fail(`it never held them: ${why}`)),
      ])
      for (const layer of ['abc', 'def']) assert.equal(locks.tryLockLayer(layer), undefined, layer)
      assert.ok(holder.kill('SIGKILL'))
      assert.equal(await ended, 'SIGKILL')
      for (const layer of ['abc', 'def']) {
        const lock = locks.tryLockLayer(layer)
        assert.ok(lock, `${layer} is free`)
        lock.release()
      }
    }
    countCases(t, rounds)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
