import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseLayerId } from '../../../core/ids.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { createDriverState } from '../../conformance/driver-state.js'

const SCRIPT = fileURLToPath(new URL('./crash-script.js', import.meta.url))
const DONE = ['create base', 'create child', 'remove child', 'remove base']

for (const module of [overlay, vfs]) {
  it(`${module.name}: killed before any changing call, a layer is complete or does not exist`, async () => {
    const cutOff = new Set<string | undefined>()
    for (let call = 1; ; call++) {
      const home = fs.mkdtempSync(join(tmpdir(), 'varve-crash-'))
      try {
        const env = { ...process.env, VARVE_FAULT: `kill:call:${call}` }
        const { signal, status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, module.name, home], {
          env,
          encoding: 'utf8',
        })
        assert.ok(signal === 'SIGKILL' || status === 0, stderr)
        const done = stdout.split('\n').filter((line) => line !== '')
        await checkHome(home, done, `killed at call ${call}, after ${done.at(-1) ?? 'nothing'}`)
        if (signal === null) {
          assert.deepEqual(done, DONE)
          assert.deepEqual([...cutOff], DONE, 'a step that was never interrupted')
          return
        }
        cutOff.add(DONE[done.length])
      } finally {
        fs.rmSync(home, { recursive: true, force: true })
      }
    }
  })

  /** All reported steps hold; the current one may be done or not; nothing else is in the home after an open. */
  async function checkHome(home: string, done: readonly string[], where: string): Promise<void> {
    const driver = await module.open({
      home,
      options: new Map(),
      parentOf: () => undefined,
      state: createDriverState(),
      warn() {},
    })
    const layers = await driver.list()
    const underWay = DONE[done.length]?.split(' ')[1]
    const sure = new Set<string>()
    for (const [what, layer = ''] of done.map((line) => line.split(' '))) {
      if (what === 'create') sure.add(layer)
      else sure.delete(layer)
    }
    for (const layer of ['base', 'child']) {
      if (layer !== underWay) assert.equal(layers.includes(parseLayerId(layer)), sure.has(layer), where)
    }
    for (const layer of layers) {
      const [mount] = await driver.get(layer, { readonly: true })
      const top = mount?.options
        .find((option) => option.startsWith('lowerdir='))
        ?.slice(9)
        .split(':')[0]
      assert.equal(fs.statSync(top ?? mount?.source ?? '').mode & 0o7777, 0o755, where)
      await driver.remove(layer)
    }
    const left = (fs.readdirSync(home, { recursive: true }) as string[]).filter(
      (name) => !/^(dir|empty~)$/.test(name),
    )
    assert.deepEqual(left, [], where)
  }
}
