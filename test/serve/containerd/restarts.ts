/** The service is restarted beneath a running containerd. */
import assert from 'node:assert/strict'
import { until } from '../until.js'
import { endContainer, foundBy } from './engine.js'
import { type Cases, RICH, said } from './stage.js'

export const RESTARTS: Cases = {
  async 'the service is restarted under a container that runs'(stage) {
    const { containerd, varve } = stage
    const { ctr } = containerd
    const long = 'echo before >/srv/file; sleep 1000'
    await ctr('run', '--detach', RICH, 'long', '/bin/sh', '-ec', long)
    await until('the container writes', async () => {
      assert.equal(await varve.varve('cat', 'long', '/srv/file'), 'before\n')
    })
    await stage.restart()
    const script = 'cat /srv/file >/srv/seen; echo after >/srv/file'
    await ctr('tasks', 'exec', '--exec-id', 'e', 'long', '/bin/sh', '-ec', script)
    assert.equal(await varve.varve('cat', 'long', '/srv/seen'), 'before\n')
    await foundBy(containerd)
    assert.equal(await said(stage, { image: RICH, script: 'echo new' }), 'new\n')
    assert.equal(await varve.varve('cat', 'long', '/srv/file'), 'after\n')
    await endContainer(containerd, 'long')
  },
}
