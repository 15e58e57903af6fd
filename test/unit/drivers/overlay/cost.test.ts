import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { it } from 'node:test'
import { counts, resetCounts, totalCalls } from '../../../../core/sys/seam.js'
import { overlay } from '../../../../drivers/overlay/driver.js'
import { withBench } from '../bench.js'

const DIRECTORIES = 200
const FILES_EACH = 100
const LIMIT = 300

it('a diff of 6 changes over 20,000 files takes fewer than 300 calls, as many as over 200', () =>
  withBench(overlay, {}, async (bench) => {
    const cost = async (filesEach: number): Promise<{ changes: number; diff: number; said: string }> => {
      const base = await bench.written(undefined, (root) => makeTree(root, filesEach))
      const child = await bench.written(base, (root) => {
        fs.writeFileSync(`${root}/d7/new`, 'new')
        fs.appendFileSync(`${root}/d50/sub/f0`, 'more')
        fs.unlinkSync(`${root}/d100/sub/f0`)
        fs.chmodSync(`${root}/d101/sub/f0`, 0o600)
        fs.rmSync(`${root}/d150`, { recursive: true })
        fs.rmSync(`${root}/d199/link`)
        fs.symlinkSync('other', `${root}/d199/link`)
      })
      resetCounts()
      const changes = await bench.changes(child)
      const ofChanges = totalCalls()
      // The root and 6 directories above the changes have new times.
      assert.equal(changes.filter(({ path }) => !/^(d\d+(\/sub)?)?$/.test(path) || path === 'd150').length, 6)
      resetCounts()
      await bench.diff(child)
      return { changes: ofChanges, diff: totalCalls(), said: JSON.stringify([...counts()]) }
    }
    const few = await cost(1)
    const many = await cost(FILES_EACH)
    assert.ok(
      many.changes < LIMIT && many.diff < LIMIT,
      `changes ${many.changes}, diff ${many.diff}: ${many.said}`,
    )
    assert.deepEqual([many.changes, many.diff], [few.changes, few.diff], 'unchanged files cost nothing')
  }))

function makeTree(root: string, filesEach: number): void {
  for (let d = 0; d < DIRECTORIES; d++) {
    fs.mkdirSync(`${root}/d${d}/sub`, { recursive: true })
    fs.symlinkSync('sub', `${root}/d${d}/link`)
    fs.writeFileSync(`${root}/d${d}/sub/f0`, `${d}`)
    for (let f = 1; f < filesEach; f++) fs.closeSync(fs.openSync(`${root}/d${d}/sub/f${f}`, 'w'))
  }
}
