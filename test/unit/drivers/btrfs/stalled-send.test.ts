/**
 * The kernel blocks a thread until a whole send stream is written. A process that ends meanwhile, or a caller that gives up,
 * must not wait for a reader that is gone.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isCode } from '../../../../core/errors.js'
import { nativeChanges } from '../../../../drivers/btrfs/native.js'
import { assertNoneLeft, openDescriptors } from '../../../support/descriptors.js'
import { type Loop, openLoop, whyNot } from './loop.js'

const CHILD = fileURLToPath(new URL('./stalled-send-child.js', import.meta.url))
/** Far more than a pipe holds. */
const FILES = 6000
const PATIENCE = 60_000

describe('a send stream that is not read to its end', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  const subvolume = (name: string) => `${loop.path}/${name}`
  before(() => {
    loop = openLoop()
    const btrfs = (...words: readonly string[]) => execFileSync('btrfs', ['subvolume', ...words])
    btrfs('create', subvolume('work'))
    btrfs('snapshot', '-r', subvolume('work'), subvolume('old'))
    for (let n = 0; n < FILES; n++) fs.writeFileSync(subvolume(`work/a-file-with-a-name-${n}`), '')
    btrfs('snapshot', '-r', subvolume('work'), subvolume('now'))
  })
  after(() => loop.close())

  it('does not block a process that ends, at any moment', () => {
    for (const when of ['stalled', '1', '20', '60']) {
      const { status, signal, stderr } = spawnSync(
        process.execPath,
        [CHILD, subvolume('old'), subvolume('now'), when],
        { timeout: PATIENCE, killSignal: 'SIGKILL', encoding: 'utf8' },
      )
      assert.deepEqual({ signal, status }, { signal: null, status: 130 }, `${when}: ${stderr}`)
    }
  })

  it('ends when its caller gives up, and leaves no descriptor', async () => {
    const compare = async (signal: AbortSignal) => {
      try {
        await nativeChanges(subvolume('old'), subvolume('now'), { signal })
      } catch (error) {
        assert.ok(isCode(error, 'CANCELLED'), String(error))
      }
    }
    await compare(new AbortController().signal)
    const descriptors = openDescriptors()
    for (const delay of [0, 1, 5, 20, 60]) {
      const stop = new AbortController()
      const comparing = compare(stop.signal)
      if (delay > 0) await wait(delay)
      stop.abort()
      await comparing
    }
    await assertNoneLeft(descriptors)
  })
})
