import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { openStore } from '../../../core/store.js'
import { closeAfter, closeAll } from '../../../core/sys/close-all.js'
import { plainModule } from './plain-driver.js'

test('Everything is closed, the last first; the first error is thrown, the others are warnings.', async () => {
  const closed: string[] = []
  const closer = (name: string, message?: string) => () => {
    closed.push(name)
    if (message !== undefined) throw new Error(message)
  }
  const warnings: string[] = []
  const all = [closer('a', 'third'), closer('b', 'second'), closer('c'), closer('d', 'first')]
  const warn = (text: string) => void warnings.push(text)
  await assert.rejects(closeAll(all, warn), /^Error: first$/)
  assert.deepEqual(
    [closed, warnings],
    [
      ['d', 'c', 'b', 'a'],
      ['closing: second', 'closing: third'],
    ],
  )
  await assert.rejects(closeAfter(new Error('cause'), all, warn), /^Error: cause$/)
  assert.equal(closed.length, 8)
  assert.deepEqual(warnings.slice(2), ['closing: second', 'closing: third', 'closing: first'])
})

/** A module whose driver's `close` fails, and a root that is removed afterwards. */
async function withBadClose(work: (root: string, module: ReturnType<typeof plainModule>) => Promise<void>) {
  const folder = mkdtempSync(`${tmpdir()}/varve-closing-`)
  const plain = plainModule()
  const close = async () => {
    throw new VarveError('UNAVAILABLE', 'plain: close failed')
  }
  const open: typeof plain.open = async (context) => ({ ...(await plain.open(context)), close })
  try {
    await work(`${folder}/root`, { ...plain, open })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('A store whose driver can’t be closed still releases its scratch space and its database.', () =>
  withBadClose(async (root, module) => {
    const store = await openStore({ root, drivers: [module] })
    await assert.rejects(store.close(), /close failed/)
    assert.throws(() => store.layers(), /not open/)
    assert.deepEqual([readdirSync(`${root}/tmp`), readdirSync(`${root}/locks`)], [[], []])
  }))

test('An error while a failed open is undone does not hide the first error.', () =>
  withBadClose(async (root, module) => {
    const warnings: string[] = []
    const open: typeof module.open = async (context) => ({
      ...(await module.open(context)),
      list: () => Promise.reject(new VarveError('CORRUPT', 'plain: unreadable')),
      get name(): string {
        throw new VarveError('CORRUPT', 'plain: nameless')
      },
    })
    const opening = openStore({
      root,
      drivers: [{ ...module, open }],
      warn: (text) => void warnings.push(text),
    })
    await assert.rejects(opening, /nameless/)
    assert.match(warnings.join(), /close failed/)
  }))

test('Input from outside is parsed at the edge.', () =>
  withBadClose(async (root, module) => {
    const store = await openStore({ root, drivers: [module] })
    const invalid = { code: 'INVALID_ARGUMENT' }
    await assert.rejects(store.importLayer('-', { diffId: 'sha256:no' as never }), invalid)
    await assert.rejects(store.create({ id: '../up' }), invalid)
    await assert.rejects(store.create({ labels: { '': 'x' } }), invalid)
    await assert.rejects(store.create({ labels: { a: 1 as never } }), invalid)
    await assert.rejects(store.create({ labels: { a: 'x'.repeat(4096) } }), invalid)
    assert.deepEqual((await store.create({ labels: { a: 'x'.repeat(4095) } })).names, [])
    await assert.rejects(store.close(), /close failed/)
  }))
