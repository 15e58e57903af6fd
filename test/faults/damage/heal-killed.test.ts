/**
 * `varve repair` is killed before and after every step: the damage is still reported or healed, and a second try heals it.
 */
import assert from 'node:assert/strict'
import { unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { FAULT_POINTS } from '../../../core/graph/fault-points.js'
import { differences, snapshot } from '../../support/oracle.js'
import { varveAt } from '../../support/varve.js'
import { assertNothingLeft } from '../recovered.js'
import { countCases } from '../size.js'
import { flipBit } from './damages.js'
import { CELLS, checked, onStage } from './stage.js'

const POINTS = FAULT_POINTS.filter((point) => point.startsWith('heal:'))
/** Only these checks may report something. */
const TOLD = /^(damage|layer-(data|files|seal)): /

for (const cell of CELLS) {
  test(`${cell.driver}: a repair may be killed at any step of it`, { skip: cell.skip }, (t) =>
    onStage(cell, async (first) => {
      const { root, archive } = first
      const sound = snapshot(first.directoryOf(0))
      const varve = varveAt(root, cell.driver)
      let stage = first
      for (const point of POINTS) {
        stage.behind(0, (directory) => {
          flipBit(join(directory, 'etc/big'), 300_000, 3)
          unlinkSync(join(directory, 'etc/deep/file'))
          writeFileSync(join(directory, 'etc/extra'), 'extra')
        })
        await stage.store.close()
        const ran = await varve.attempt(['repair', '--from', archive], { VARVE_FAULT: `kill:${point}` })
        assert.equal(ran.status, 'SIGKILL', `${point} was not reached: ${ran.stderr}`)
        stage = await stage.reopened()
        const { store } = stage
        assertNothingLeft(root, store.layers())
        const { words } = await checked(store)
        for (const line of words.split('\n')) if (words !== '') assert.match(line, TOLD, point)
        if (point !== 'heal:ready:after') {
          // Unless all is healed, even a quick check must know that the repair did not finish.
          const { words: known } = await checked(store, {})
          if (words !== '') assert.notEqual(known, '', `${point}: forgotten`)
        } else assert.equal(words, '', point)
        const again = await varve.attempt(['repair', '--from', archive])
        assert.equal(again.status, 0, `${point}: ${again.stderr}`)
        assert.equal((await checked(store)).words, '', `${point}: healed`)
        assert.deepEqual(differences(sound, snapshot(stage.directoryOf(0))), [], point)
      }
      countCases(t, POINTS.length)
    }),
  )
}
