/** Reads beside a big import do not wait for it. At full size, when nothing else runs, none takes twice its usual time. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { collect } from '../../support/collect.js'
import { endOf } from '../../support/namespace.js'
import { layerTar } from '../../unit/store/layer-tar.js'
import { countCases, isFull, sized } from '../size.js'

const IMPORTER = fileURLToPath(new URL('import-main.js', import.meta.url))
const READS: Readonly<Record<string, (store: Store, layer: string, root: string) => Promise<unknown>>> = {
  layers: async (store) => store.layers(),
  list: (store, layer) => collect(store.list(layer)),
  read: (store, layer) => collect(store.read(layer, '/d/file')),
  diff: (store, layer) => collect(store.diff(undefined, layer)),
  export: (store, layer) => collect(store.exportLayer(layer)),
  check: (store) => collect(store.check()),
  open: async (_store, _layer, root) => (await openStore({ root, drivers: [vfs] })).close(),
}
/** Bytes of the imported layer, and how often each read is timed. */
const SIZE = sized(16, 384) * 2 ** 20
const ROUNDS = 20

test('reads go on while an import is in the middle of a layer', (t) =>
  withImport(async ({ store, layer, root, input, ended }) => {
    const tar = layerTar(['other/', `other/big =${'x'.repeat(SIZE)}`])
    // When the write ends, the import has read most of the first half.
    await write(input, tar.subarray(0, tar.length / 2))
    for (const [name, read] of Object.entries(READS)) {
      await Promise.race([
        read(store, layer, root),
        ended.then((why) => assert.fail(`${name}: the import ended before it (${why})`)),
      ])
    }
    assert.equal(store.layers().length, 1, 'the layer is not there yet')
    input.end(tar.subarray(tar.length / 2))
    assert.equal(await ended, 'status 0')
    assert.equal(store.layers().length, 2)
    countCases(t, Object.keys(READS).length)
  }))

// Times mean nothing on a busy machine.
if (isFull)
  test('the best time of each read is at most twice its quiet one', (t) =>
    withImport(async ({ store, layer, root, input, ended }) => {
      const times = async (isBusy: () => boolean): Promise<ReadonlyMap<string, number>> => {
        const best = new Map<string, number>()
        for (let round = 0; round < ROUNDS; round++) {
          for (const [name, read] of Object.entries(READS)) {
            const begun = performance.now()
            await read(store, layer, root)
            const time = performance.now() - begun
            if (isBusy()) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, time))
          }
        }
        return best
      }
      const quiet = await times(() => true)
      let isBusy = true
      ended.then(() => {
        isBusy = false
      })
      input.end(layerTar(['other/', `other/big =${'x'.repeat(SIZE)}`]))
      const busy = await times(() => isBusy)
      assert.equal(await ended, 'status 0')
      for (const [name, time] of busy) {
        const before = quiet.get(name) ?? 0
        t.diagnostic(`${name}: ${before.toFixed(2)} ms quiet, ${time.toFixed(2)} ms beside an import`)
        // One millisecond more is allowed for the scheduler.
        assert.ok(time <= 2 * before + 1, `${name}: ${before} ms, then ${time} ms`)
      }
      countCases(t, busy.size * ROUNDS)
    }))

interface Beside {
  readonly store: Store
  readonly root: string
  /** A small existing layer. */
  readonly layer: string
  /** Takes the tar of the other one. */
  readonly input: Writable
  readonly ended: Promise<string>
}

async function withImport(use: (beside: Beside) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-reads-'))
  const root = join(folder, 'root')
  let importer: ChildProcess | undefined
  try {
    writeFileSync(join(folder, 'small.tar'), layerTar(['d/', 'd/file =small', 'd/other =too']))
    const store = await openStore({ root, drivers: [vfs] })
    try {
      const { id } = await store.importLayer(join(folder, 'small.tar'))
      importer = fork(IMPORTER, [root], { stdio: ['pipe', 'inherit', 'inherit', 'ipc'] })
      const ended = endOf(importer)
      await Promise.race([once(importer, 'message'), ended.then((why) => assert.fail(`no import: ${why}`))])
      await use({ store, root, layer: id, input: importer.stdin as Writable, ended })
      assert.deepEqual(await collect(store.check({ data: true })), [])
    } finally {
      importer?.kill('SIGKILL')
      await store.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function write(input: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => input.write(bytes, (error) => (error ? reject(error) : resolve())))
}
