/** Healing from every kind of source, of a layer in use, and by an import; a source that does not verify changes nothing. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { collect } from '../../support/collect.js'
import { differences, snapshot } from '../../support/oracle.js'
import { flipBit } from './damages.js'
import { CELLS, checked, NAME, onStage, type Stage } from './stage.js'

const outcomes = async (store: Stage['store'], from: string) =>
  (await collect(store.repair({ from }))).map(({ outcome }) => outcome)
const damage = ({ behind }: Stage) =>
  behind(0, (directory) => {
    flipBit(join(directory, 'etc/big'), 300_000, 3)
    unlinkSync(join(directory, 'etc/deep/file'))
    writeFileSync(join(directory, 'etc/extra'), 'extra')
  })

for (const cell of CELLS) {
  const onCell = (title: string, body: (stage: Stage) => Promise<void>) =>
    test(`${cell.driver}: ${title}`, { skip: cell.skip }, () => onStage(cell, body))

  onCell("heals from a layer's tar, from another store, and from a layout", async (stage) => {
    const { store, place, archive } = stage
    const tar = join(place, 'layer.tar')
    writeFileSync(
      tar,
      Buffer.concat((await collect(store.exportLayer(`${NAME}#0`))).map((each) => Buffer.from(each))),
    )
    await store.exportImage(NAME, join(place, 'layout'), { format: 'oci-layout', compress: 'gzip' })
    const other = await openStore({ root: join(place, 'other'), drivers, driver: 'vfs' })
    await other.importImage(archive)
    await other.close()
    const sound = snapshot(stage.directoryOf(0))
    for (const source of ['layer.tar', 'layout', 'other']) {
      damage(stage)
      const found = await outcomes(store, join(place, source))
      assert.ok(found.includes('healed') && !found.includes('failed'), `${source}: ${found}`)
      assert.deepEqual(differences(sound, snapshot(stage.directoryOf(0))), [], source)
      assert.equal((await checked(store)).words, '', source)
    }
  })

  onCell('a source that does not verify changes nothing', async (stage) => {
    const { store, archive, place } = stage
    damage(stage)
    const before = snapshot(stage.directoryOf(0))
    const bytes = readFileSync(archive)
    const at = bytes.indexOf('x'.repeat(10_000))
    bytes[at + 5_000] = 0x79
    writeFileSync(join(place, 'altered.tar'), bytes)
    const [first] = await collect(store.repair({ from: join(place, 'altered.tar') }))
    assert.equal(first?.outcome, 'failed')
    assert.match(first?.reason ?? '', /has the digest sha256:.*was announced/)
    assert.deepEqual(differences(before, snapshot(stage.directoryOf(0))), [])
    await assert.rejects(collect(store.repair({ from: stage.root })), /that is the store itself/)
  })

  onCell('an import of a damaged layer says so and heals it', async (stage) => {
    const { store, archive, warnings } = stage
    stage.behind(0, (directory) => unlinkSync(join(directory, 'etc/deep/file')))
    const [seen] = await store.importImage(archive)
    assert.equal(seen?.healedLayers, 1)
    assert.match(warnings.join('\n'), /is damaged: .*; it is healed from/)
    assert.equal((await checked(store)).words, '')
    // Only a read finds a flipped bit. Once a check has found it, an import knows of it.
    stage.behind(0, (directory) => flipBit(join(directory, 'etc/one'), 3, 1))
    assert.notEqual((await checked(store)).words, '')
    const [known] = await store.importImage(archive)
    assert.equal(known?.healedLayers, 1)
    assert.equal((await checked(store)).words, '')
    const [none] = await store.importImage(archive)
    assert.equal(none?.healedLayers, undefined)
  })

  onCell('a broken record is made again from the tar', async (stage) => {
    const { root, archive } = stage
    const before = Buffer.concat(
      (await collect(stage.store.exportLayer(`${NAME}#0`))).map((each) => Buffer.from(each)),
    )
    const node = stage.store.image(NAME).layers[0]
    await stage.store.close()
    const db = new Sqlite(join(root, 'varve.db'))
    db.prepare("UPDATE split SET data = x'00' WHERE node = (SELECT id FROM node WHERE layer = ?)").run(node)
    db.close()
    const { store } = await stage.reopened()
    assert.ok((await checked(store, {})).names.includes('record'))
    const found = await collect(store.repair({ from: archive }))
    assert.ok(found.some(({ outcome, record }) => outcome === 'healed' && record === true))
    assert.equal((await checked(store)).words, '')
    const after = (await collect(store.exportLayer(`${NAME}#0`))).map((each) => Buffer.from(each))
    assert.ok(Buffer.concat(after).equals(before))
  })

  onCell('a layer is healed while a child of it is mounted, and the mount shows it', async (stage) => {
    const { store, archive } = stage
    const child = await store.create({ parent: NAME })
    const { path } = await store.mount(child.id)
    try {
      writeFileSync(join(path, 'etc/own'), 'own')
      damage(stage)
      const isShared = cell.driver === 'overlay'
      assert.equal(existsSync(join(path, 'etc/deep/file')), !isShared)
      const found = await outcomes(store, archive)
      assert.ok(found.includes('healed') && !found.includes('failed'), found.join())
      assert.equal(readFileSync(join(path, 'etc/deep/file'), 'utf8'), 'deep\n')
      assert.equal(readFileSync(join(path, 'etc/big'), 'utf8'), 'x'.repeat(700_000))
      assert.equal(readFileSync(join(path, 'etc/own'), 'utf8'), 'own')
      assert.deepEqual(
        (await collect(store.diff(undefined, child.id))).map(({ kind, path: at }) => `${kind} ${at}`),
        ['modify etc', 'add etc/own'],
      )
    } finally {
      await store.unmount(child.id)
    }
    assert.equal((await checked(store)).words, '')
  })
}
