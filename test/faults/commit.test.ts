/** kill -9 while a nameless writable layer is committed into an image. Only the image keeps it, so both exist or neither. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAULT_POINTS } from '../../core/graph/fault-points.js'
import { withVarve } from '../support/varve.js'
import { assertRecovered } from './recovered.js'

const POINTS = FAULT_POINTS.filter((point) => point.startsWith('commit:'))

test('A nameless layer whose commit was killed is still writable or has its image; prune removes neither.', () =>
  withVarve('vfs', async (varve) => {
    assert.ok(POINTS.includes('commit:ready:after'))
    for (const point of POINTS) {
      const [made] = await varve.json<{ id: string }>('create')
      const id = made?.id ?? assert.fail('create printed no id')
      const ran = await varve.attempt(['commit', id, '--name', 'mine:1'], { VARVE_FAULT: `kill:${point}` })
      assert.equal(ran.status, 'SIGKILL', `${point} was not reached: ${ran.stdout}${ran.stderr}`)
      await varve.varve('prune')
      const layers = await assertRecovered(varve)
      const images = await varve.json<{ names: string[] }>('images')
      assert.deepEqual(
        layers.map((layer) => layer.kind),
        [point === 'commit:ready:after' ? 'committed' : 'active'],
        point,
      )
      assert.equal(images.length, point === 'commit:ready:after' ? 1 : 0, point)
      await varve.varve('commit', id, '--name', 'mine:1')
      await varve.varve('rm', 'mine:1')
      assert.deepEqual(await assertRecovered(varve), [], point)
    }
  }))
