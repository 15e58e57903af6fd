/**
 * Restarts of dockerd and of the service, by SIGTERM and kill -9, with running containers; and the removal of everything.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { lines } from '../../support/text-lines.js'
import { IMAGE } from '../busy-image.js'
import type { Docker } from './engine.js'
import { layerFolders } from './layers.js'
import { type Cases, RUN, STAYING } from './stage.js'

const SIGNALS = ['SIGTERM', 'SIGKILL'] as const
/** The images that the other cases have made. */
const MADE = ['varve.test/busy', 'timed', 'committed', 'classic', 'kit', 'mount']
/** Tables about the store itself, and not about its content. */
const ITS_OWN = ['meta', 'driver_state']

export const RESTARTS: Cases = {
  async 'dockerd starts again, after SIGTERM and after kill -9'({ docker }) {
    for (const signal of SIGNALS) {
      const script = 'echo x >> /x; sleep 1000'
      await docker.docker(...RUN, ...STAYING, '--name', 'through', IMAGE, 'sh', '-c', script)
      await docker.dockerd().end(signal)
      await docker.startDockerd()
      const images = lines(await docker.docker('images', '--format', '{{.Repository}}'))
      for (const name of MADE) assert.ok(images.includes(name), name)
      assert.equal(await running(docker, 'through'), 'false 0')
      await docker.docker('start', 'through')
      assert.match(await docker.docker('exec', 'through', 'cat', '/x'), /^x\n/)
      await docker.docker('rm', '--force', 'through')
      await docker.varve('check')
    }
  },

  async 'containers live on while there is no dockerd, with --live-restore'({ docker }) {
    await docker.dockerd().end('SIGTERM')
    await docker.startDockerd('--live-restore')
    for (const signal of SIGNALS) {
      await docker.docker(...RUN, ...STAYING, '--name', 'alive', IMAGE, 'sh', '-c', 'echo x > /x; sleep 1000')
      const before = await running(docker, 'alive')
      await docker.dockerd().end(signal)
      await docker.startDockerd('--live-restore')
      assert.equal(await running(docker, 'alive'), before)
      assert.equal(await docker.docker('exec', 'alive', 'sh', '-c', 'echo y >> /x; cat /x'), 'x\ny\n')
      assert.ok(lines(await docker.docker('diff', 'alive')).includes('A /x'))
      await docker.docker('stop', '--time', '0', 'alive')
      await docker.docker('rm', 'alive')
      await docker.varve('check')
    }
  },

  async 'dockerd’s storage options must match what the service was started with'({ docker, driver, place }) {
    const log = () => readFileSync(join(place, 'dockerd.log'), 'utf8')
    const other = driver === 'vfs' ? 'overlay' : 'vfs'
    const wrong: readonly (readonly [option: string, reason: RegExp])[] = [
      [`varve.driver=${other}`, new RegExp(`the store in .* is on ${driver}`)],
      ['varve.root=/elsewhere', /the service's store is in .*leave the option out/],
      ['color=red', /color/],
    ]
    await docker.dockerd().end('SIGTERM')
    for (const [option, reason] of wrong) {
      const { length } = log()
      await assert.rejects(docker.startDockerd('--storage-opt', option), /dockerd has ended: 1/)
      assert.match(log().slice(length), reason)
    }
    const right = [`varve.driver=${driver}`, `varve.root=${docker.root}`]
    await docker.startDockerd(...right.flatMap((option) => ['--storage-opt', option]))
    assert.equal(await docker.docker(...RUN, '--rm', IMAGE, 'cat', '/srv/two'), 'hard\n')
  },

  async 'our service starts again beneath running containers, after SIGTERM and after kill -9'({ docker }) {
    for (const signal of SIGNALS) {
      await docker.docker(...RUN, ...STAYING, '--name', 'above', IMAGE, 'sleep', '1000')
      const pid = (await running(docker, 'above')).split(' ')[1]
      await docker.service().end(signal)
      await docker.inside('sh', '-c', `echo meanwhile > /proc/${pid}/root/srv/meanwhile`)
      await docker.startService()
      assert.ok(lines(await docker.docker('diff', 'above')).includes('A /srv/meanwhile'))
      await docker.docker('commit', 'above', `above:${signal.toLowerCase()}`)
      await docker.docker('rm', '--force', 'above')
      await docker.varve('check')
    }
  },

  async 'prune: it leaves no row, no directory and no mount'({ docker, driver }) {
    await docker.docker('container', 'prune', '--force')
    await docker.docker('system', 'prune', '--all', '--force', '--volumes')
    assert.equal(await docker.docker('images', '--all', '--quiet'), '')
    assert.match(await docker.varve('prune'), /2 layers removed/, 'those that the admin imported')
    assert.deepEqual(rowsOf(docker), [])
    assert.equal(await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1'), '')
    assert.deepEqual(layerFolders(docker, driver), [])
    assert.ok(!(await docker.inside('cat', '/proc/self/mounts')).includes(`${docker.root}/`))
    await docker.varve('check', '--data')
  },
}

/** `true PID` or `false 0`. */
async function running(docker: Docker, container: string): Promise<string> {
  return (await docker.docker('inspect', '--format', '{{.State.Running}} {{.State.Pid}}', container)).trim()
}

/** The tables of the store that have rows, but {@link ITS_OWN}. */
function rowsOf({ root }: Docker): readonly string[] {
  const database = new Sqlite(join(root, 'varve.db'), { readonly: true })
  try {
    const tables = database
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .pluck()
      .all()
    return tables
      .map(String)
      .filter((table) => !ITS_OWN.includes(table))
      .filter((table) => database.prepare(`SELECT 1 FROM "${table}" LIMIT 1`).get() !== undefined)
  } finally {
    database.close()
  }
}
