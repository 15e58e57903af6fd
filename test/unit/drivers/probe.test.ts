import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Probe } from '../../../core/driver.js'
import { selectDriver } from '../../../core/root/select.js'
import { mountInfo } from '../../../core/sys/mount/mount.js'
import { drivers } from '../../../drivers/all.js'
import { createDriverState } from '../../conformance/driver-state.js'

const ALL = new URL('../../../drivers/all.js', import.meta.url).href

async function inFolder<T>(use: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'varve-probe-'))
  try {
    return await use(folder)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/** The verdict of every driver, probed in another process that `wrapper` starts. */
function probeBy(wrapper: readonly string[], scratch: string): Readonly<Record<string, Probe>> {
  const script = `
    const { drivers } = await import(${JSON.stringify(ALL)})
    const host = { scratch: ${JSON.stringify(scratch)}, options: new Map() }
    const verdicts = {}
    for (const driver of drivers) verdicts[driver.name] = await driver.probe(host)
    console.log(JSON.stringify(verdicts))`
  const [command = '', ...args] = [...wrapper, process.execPath, '--input-type=module', '-e', script]
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', cwd: '/' }))
}

describe('the list of drivers', () => {
  it('is in the order of selection, by ascending priority', () => {
    assert.deepEqual(
      drivers.map(({ name, priority }) => `${name} ${priority}`),
      ['aufs 10', 'btrfs 20', 'zfs 30', 'devicemapper 40', 'overlay 50', 'vfs 60'],
    )
  })

  it('loads nothing heavy: no system calls are bound before a driver is asked something', () => {
    const script = `
      await import(${JSON.stringify(ALL)})
      const { createRequire } = await import('node:module')
      const loaded = Object.keys(createRequire(${JSON.stringify(ALL)}).cache)
      console.log(JSON.stringify(loaded.filter((path) => path.includes('koffi'))))`
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    assert.deepEqual(JSON.parse(said), [])
  })
})

describe('probes', () => {
  it('every verdict that is not "supported" has a reason, and nothing is left behind', () =>
    inFolder(async (scratch) => {
      for (const driver of drivers) {
        const { verdict, reason } = await driver.probe({ scratch, options: new Map() })
        assert.ok(verdict === 'supported' || reason.length > 10, `${driver.name}: ${verdict}: ${reason}`)
      }
      assert.deepEqual(fs.readdirSync(scratch), [])
      // Other tests mount at the same time, so only mounts that could be the probes' count.
      assert.deepEqual(
        mountInfo().filter(({ target }) => target.startsWith(scratch)),
        [],
      )
    }))

  it('a planned driver says so in its verdict and when it is opened', () =>
    inFolder(async (scratch) => {
      const coming = drivers.filter(({ name }) => ['aufs', 'zfs', 'devicemapper'].includes(name))
      assert.equal(coming.length, 3)
      for (const { name, probe, open } of coming) {
        const { verdict, reason } = await probe({ scratch, options: new Map() })
        const words = `varve's ${name} driver comes in a later version`
        assert.notEqual(verdict, 'supported')
        assert.ok(reason.endsWith(words), reason)
        const context = {
          home: scratch,
          options: new Map(),
          parentOf: () => undefined,
          state: createDriverState(),
          warn() {},
        }
        await assert.rejects(open(context), { code: 'UNIMPLEMENTED', message: new RegExp(words) })
      }
    }))

  it('an invalid value of an overlay option is an error, and no other driver is chosen instead', (t) =>
    inFolder(async (scratch) => {
      const overlay = drivers.find(({ name }) => name === 'overlay')
      assert.ok(overlay)
      const { verdict, reason } = await overlay.probe({ scratch, options: new Map() })
      if (verdict !== 'supported') return t.skip(reason)
      for (const value of ['maybe', '']) {
        await assert.rejects(overlay.probe({ scratch, options: new Map([['metacopy', value]]) }), {
          code: 'INVALID_ARGUMENT',
          message: `overlay: metacopy=${value}: say on or off`,
        })
        const context = { root: scratch, prior: undefined, scratch: () => scratch }
        const first = drivers.filter(({ name }) => name === 'overlay' || name === 'vfs')
        await assert.rejects(
          selectDriver({ ...context, drivers: first, storageOptions: [`overlay.metacopy=${value}`] }),
          { code: 'INVALID_ARGUMENT' },
        )
      }
      assert.deepEqual(fs.readdirSync(scratch), [])
    }))

  it('without root overlay lacks a prerequisite, and vfs is supported', () =>
    inFolder((scratch) => {
      fs.chmodSync(scratch, 0o777)
      const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      const { overlay, vfs } = probeBy(asNobody, scratch)
      assert.equal(overlay?.verdict, 'prerequisite missing')
      assert.match(overlay?.reason ?? '', /root/)
      assert.equal(vfs?.verdict, 'supported')
      fs.chmodSync(scratch, 0o755)
      assert.equal(probeBy(asNobody, scratch).vfs?.verdict, 'prerequisite missing')
      assert.deepEqual(fs.readdirSync(scratch), [])
    }))

  it('in a user namespace overlay works with userxattr', (t) =>
    inFolder((scratch) => {
      if (!canUnshare()) return t.skip('no user namespaces here')
      const { overlay, aufs } = probeBy(['unshare', '--user', '--map-root-user', '--mount'], scratch)
      assert.equal(overlay?.verdict, 'supported', overlay?.reason)
      assert.deepEqual(new Map(overlay?.facts).get('userxattr'), 'true')
      assert.equal(aufs?.verdict, 'prerequisite missing')
    }))

  it('overlay on overlay is the wrong file system', () =>
    inFolder((folder) => {
      for (const name of ['low', 'up', 'work', 'merged']) fs.mkdirSync(`${folder}/${name}`)
      const data = `lowerdir=${folder}/low,upperdir=${folder}/up,workdir=${folder}/work`
      execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', data, `${folder}/merged`])
      try {
        const { overlay, vfs } = probeBy(['env'], `${folder}/merged`)
        assert.equal(overlay?.verdict, 'wrong file system')
        assert.match(overlay?.reason ?? '', /overlay on overlay/)
        assert.equal(vfs?.verdict, 'supported')
      } finally {
        execFileSync('umount', [`${folder}/merged`])
      }
    }))
})

function canUnshare(): boolean {
  try {
    execFileSync('unshare', ['--user', '--map-root-user', '--mount', 'true'])
    return true
  } catch {
    return false // a kernel or container that forbids it
  }
}
