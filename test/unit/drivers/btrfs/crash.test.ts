/** Processes that are killed in the middle of a call. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { parseLayerId } from '../../../../core/ids.js'
import type { Bench } from '../bench.js'
import { runChild } from './child.js'
import { folderOf, type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'

describe('the btrfs driver, killed', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => loop.close())

  const layered = (title: string, use: (bench: Bench) => Promise<void>) =>
    it(title, () => withLayers(loop.path, use))

  layered('removes what a killed process left of a diff, a removal or a creation', async (bench) => {
    const parent = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
    const child = await bench.create({ parent, writable: true })
    fs.writeFileSync(`${subvolumeOf(bench, child)}/file`, 'y')
    const gone = await bench.create({ parent, writable: true })
    execFileSync('btrfs', ['-q', 'subvolume', 'create', `${subvolumeOf(bench, gone)}/inner`])
    const kills: readonly (readonly [words: readonly string[], fault: string])[] = [
      [['changes', child, parent], 'kill:send:1'],
      [['remove', gone], 'kill:snap_destroy:1'],
      [['create', 'sized', parent, '100M'], 'kill:qgroup_limit:1'],
      [['create', 'base'], 'kill:chmod:1'],
    ]
    for (const [words, fault] of kills) {
      assert.equal(runChild(bench.home, words, fault).signal, 'SIGKILL', words.join(' '))
      assert.ok(
        folderOf(bench).some((name) => name.includes('~')),
        `${words.join(' ')} leaves a temporary`,
      )
      const { warnings } = runChild(bench.home, ['open'])
      assert.match(warnings?.join() ?? '', /removed .*left by a process/)
      assert.deepEqual(
        folderOf(bench),
        [parent, child]
          .sort()
          .concat(words[0] === 'changes' ? [gone] : [])
          .sort(),
      )
    }
  })

  layered('keeps the size of a layer whose seal it undoes, wherever it is killed', async (bench) => {
    const parent = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
    await bench.create({ id: 'sized', parent, writable: true, options: { size: '100M' } })
    // The first call of each is the seal's. The fault strikes before the call.
    for (const fault of ['kill:qgroup_limit:2', 'kill:subvol_setflags:2', undefined]) {
      const { signal } = runChild(bench.home, ['unseal', 'sized', parent], fault)
      assert.equal(signal, fault === undefined ? null : 'SIGKILL')
      const facts = await bench.driver.metadata(parseLayerId('sized'))
      const isLimited = facts['Size Limit'] === String(100 << 20)
      assert.ok(facts['Read Only'] === 'true' || isLimited, JSON.stringify(facts))
      assert.equal(isLimited, fault !== 'kill:qgroup_limit:2')
      if (!isLimited) {
        // The child's state was lost with it, so the layer is created again.
        await bench.driver.remove(parseLayerId('sized'))
        await bench.create({ id: 'sized', parent, writable: true, options: { size: '100M' } })
      }
    }
    await bench.driver.remove(parseLayerId('sized'))
  })

  layered('creates and removes a layer completely or not at all, wherever it is killed', async (bench) => {
    const parent = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
    for (const words of [
      ['create', 'victim', parent, '100M'],
      ['remove', 'victim'],
    ]) {
      for (let call = 1; ; call++) {
        if (words[0] === 'remove') await bench.create({ id: 'victim', parent, writable: true })
        const { signal } = runChild(bench.home, words, `kill:call:${call}`)
        if (signal === null) break
        const there = folderOf(bench).includes('victim')
        if (there) {
          const path = `${bench.home}/subvolumes/victim`
          assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), 'x')
          assert.equal(fs.lstatSync(path).ino, 256)
        }
        runChild(bench.home, ['open'])
        assert.deepEqual(folderOf(bench), there ? [parent, 'victim'].sort() : [parent])
        await bench.driver.remove(parseLayerId('victim'))
      }
      await bench.driver.remove(parseLayerId('victim'))
    }
  })
})
