/** A layer that can still be written to is not committed, whoever mounted it, and wherever. */
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { attach, unmount } from '../../../core/sys/mount/mount.js'
import { openNamespace } from '../../support/namespace.js'
import { mountsBelow, onBench, problems, refusal, run, whySkip } from './bench.js'

for (const driver of ['overlay', 'vfs', 'btrfs']) {
  const onDriver = (title: string, body: Parameters<typeof onBench>[1]): void => {
    test(`${driver}: ${title}`, { skip: whySkip(driver) }, () => onBench(driver, body))
  }

  onDriver('a file that is open in a mount which was unmounted lazily', async ({ root, open, mountWork }) => {
    const { store } = await open(root)
    const place = await mountWork(store)
    const file = openSync(join(place, 'late'), 'w')
    try {
      unmount(place, { lazy: true })
      const again = await open(root)
      assert.match(again.warnings.join(), /no longer mounted/)
      await assert.rejects(again.store.commit('work'), refusal(/can still be written to/))
    } finally {
      closeSync(file)
    }
    await store.commit('work')
    assert.deepEqual(await problems(store), [])
  })

  onDriver('a second mount by an admin', async ({ folder, root, open, mountWork }) => {
    const { store } = await open(root)
    const place = await mountWork(store)
    const second = join(folder, 'second')
    mkdirSync(second)
    run('mount', '--bind', '--make-private', place, second)
    unmount(place)
    const again = await open(root)
    await assert.rejects(again.store.commit('work'), refusal(/can still be written to: .*\/second/))
    run('mount', '-o', driver === 'overlay' ? 'remount,ro' : 'remount,ro,bind', second)
    await store.commit('work')
    assert.deepEqual(await problems(store), [])
  })

  onDriver('a copy of the mount in another namespace', async ({ root, open, mountWork }) => {
    const { store } = await open(root)
    const place = await mountWork(store)
    const shell = openNamespace()
    try {
      await shell.say(`test -e ${place}/file`)
      unmount(place)
      const again = await open(root)
      await assert.rejects(again.store.commit('work'), refusal(/another mount namespace \(pid \d+\)/))
    } finally {
      await shell.end()
    }
    await store.commit('work')
  })

  onDriver('a snapshot that its engine has mounted', async ({ folder, root, open }) => {
    const { store } = await open(root)
    const target = join(folder, 'engine')
    mkdirSync(target)
    attach(await store.snapshots.prepare('key'), target)
    await assert.rejects(
      store.snapshots.commit('name', 'key'),
      refusal(/can still be written to: .*\/engine/),
    )
    unmount(target)
    await store.snapshots.commit('name', 'key')
    assert.equal(store.snapshots.stat('name').kind, 'committed')
  })

  onDriver(
    'a mount that the database lost is recorded again, and stays',
    async ({ root, open, mountWork }) => {
      const { store } = await open(root)
      const place = await mountWork(store)
      const db = new Sqlite(join(root, 'varve.db'))
      db.exec('DELETE FROM mount')
      db.close()
      const again = await open(root)
      assert.match(again.warnings.join('\n'), /^layer \w+: is mounted at .*did not know/)
      assert.deepEqual(await problems(again.store), [])
      assert.deepEqual((await open(root)).warnings, [])
      assert.deepEqual(store.layer('work').mounts, [place])
      await assert.rejects(store.commit('work'), refusal(/is mounted at/))
      await store.unmount('work')
      assert.deepEqual(mountsBelow(root), [])
      await store.commit('work')
    },
  )
}
