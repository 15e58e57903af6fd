/** A store that is read-only: reads work, and every changing call is refused with the reason. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import type { Store } from '../../../core/api/store.js'
import { openDatabase } from '../../../core/db/database.js'
import { createGate } from '../../../core/db/gate.js'
import { guarded } from '../../../core/face/guarded.js'
import { openStore, VarveError } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'

const refusal = (error: unknown) =>
  error instanceof VarveError &&
  error.code === 'FAILED_PRECONDITION' &&
  error.message === 'store R: is read-only: it is Sunday; wait'

const CHANGES: readonly (readonly [title: string, call: (store: Store) => unknown])[] = [
  ['import', (store) => store.importImage('/nowhere')],
  ['import of a layer', (store) => store.importLayer('/nowhere')],
  ['tag', (store) => store.tag('x', 'y')],
  ['remove', (store) => store.remove('x')],
  ['prune', (store) => store.prune()],
  ['create', (store) => store.create()],
  ['mount', (store) => store.mount('x')],
  ['unmount', (store) => store.unmount('x')],
  ['commit', (store) => store.commit('x')],
  ['setting', (store) => store.settings.set('x', 'y')],
  ['raw begin', (store) => store.graphDriver.begin()],
  ['raw create', (store) => store.graphDriver.create('x')],
  ['raw remove', (store) => store.graphDriver.remove('x')],
  ['raw get', (store) => store.graphDriver.get('x')],
  ['raw put', (store) => store.graphDriver.put('x')],
  ['prepare', (store) => store.snapshots.prepare('x')],
  ['view', (store) => store.snapshots.view('x')],
  ['snapshot commit', (store) => store.snapshots.commit('x', 'y')],
  ['snapshot remove', (store) => store.snapshots.remove('x')],
  ['update', (store) => store.snapshots.update({ name: 'x' })],
  ['adopt', (store) => store.snapshots.adopt('x', 'y')],
  ['cleanup', (store) => store.snapshots.cleanup()],
]

test('If a store is read-only, every changing call is refused with the reason.', async () => {
  const root = mkdtempSync(`${tmpdir()}/varve-gate-`)
  const store = await openStore({ root, drivers: [vfs] })
  try {
    const gate = createGate('store R')
    const asked = guarded(store, gate)
    const { id } = await asked.create({ id: 'kept' })
    gate.shut('it is Sunday; wait')
    gate.shut('a second reason')
    for (const [title, call] of CHANGES) {
      await assert.rejects(async () => call(asked), refusal, title)
    }
    assert.equal(asked.layer('kept').id, id)
    assert.deepEqual(
      asked.layers().map((layer) => layer.id),
      [id],
    )
    gate.lift()
    assert.deepEqual(await asked.remove('kept'), [id])
  } finally {
    await store.close()
    rmSync(root, { recursive: true })
  }
})

test('No transaction begins while the gate is shut, whatever starts it; reads go on.', () => {
  const gate = createGate('store R')
  const db = openDatabase(':memory:', { gate })
  gate.shut('it is Sunday; wait')
  assert.throws(() => db.tx(() => {}), refusal)
  assert.throws(() => db.draft(() => {}), refusal)
  assert.throws(() => db.meta.set('driver', 'x'), refusal)
  assert.equal(db.meta.get('driver'), undefined)
  db.close()
})
