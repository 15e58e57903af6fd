/** Copies into and out of dockerd's containers: cp, export, import. */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { sha256File } from '../../support/archive.js'
import { unpackLayers } from '../../support/gnu-tar.js'
import { setAttribute } from '../../support/libc.js'
import { differences, type Snapshot, snapshot } from '../../support/oracle.js'
import { lines } from '../../support/text-lines.js'
import { IMAGE } from '../busy-image.js'
import { layersOf, treeOf } from './layers.js'
import { type Cases, RUN, STAYING } from './stage.js'

/** The kernel's form of cap_net_raw=ep. */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex').toString('latin1')

export const COPIES: Cases = {
  async 'cp: both ways, for a stopped and a running container, with owners, links, modes and capabilities'(
    stage,
  ) {
    const { docker, work } = stage
    await docker.docker(...RUN, ...STAYING, '--name', 'copied', IMAGE, 'sleep', '1000')
    const source = join(work, 'source')
    makeSource(source)
    const original = snapshot(source)
    // Files copied out belong to the caller, as documented.
    const owned = new Map([...original].map(([path, line]) => [path, line.replace(/ \d+:\d+ /, ' 0:0 ')]))
    for (const container of ['edited', 'copied']) {
      await docker.docker('cp', '--archive', source, `${container}:/srv/`)
      const target = join(work, `out-${container}`)
      mkdirSync(target)
      await docker.docker('cp', '--archive', `${container}:/srv/source`, target)
      assert.deepEqual(differences(owned, snapshot(join(target, 'source'))), [], container)
    }
    const inside = join(await treeOf(docker, 'copied'), 'srv/source')
    assert.deepEqual(differences(original, snapshot(inside)), [], 'in there')
    const words = ['exec', '--user', 'user', 'copied', 'cat', '/srv/source/own'] as const
    assert.equal(await docker.docker(...words), 'owned\n')
    assert.equal(
      await docker.docker('cp', 'edited:/srv/gone/1', '-').then((tar) => tar.includes('other\n')),
      true,
    )
  },

  async 'export and import: the same tree'({ docker, work }) {
    const [file, flat] = [join(work, 'exported.tar'), join(work, 'flat')]
    await docker.docker('start', 'edited')
    const tree = inSeconds(await treeOf(docker, 'edited'))
    await docker.docker('export', '--output', file, 'edited')
    unpackLayers([file], flat)
    assert.deepEqual(differences(tree, inSeconds(flat)), [], 'exported')
    await docker.docker('stop', '--time', '0', 'edited')
    await docker.docker('import', file, 'imported:1')
    const [diffId] = JSON.parse(
      await docker.docker('inspect', '--format', '{{json .RootFS.Layers}}', 'imported:1'),
    )
    assert.equal(diffId, `sha256:${sha256File(file)}`)
    const layer = (await layersOf(docker)).find((each) => each.diffId === diffId)
    const again = join(work, 'again.tar')
    await docker.varve('export', '--layer', layer?.names[0]?.slice(0, 12) ?? '', '--output', again)
    assert.ok(readFileSync(again).equals(readFileSync(file)), 'byte for byte')
    const list = 'cd /; find srv usr etc/passwd | sort'
    const [whole, imported] = await Promise.all([
      docker.docker(...RUN, '--rm', '--volumes-from', 'edited', 'committed:1', 'sh', '-c', 'ls /srv/keep'),
      docker.docker(...RUN, '--rm', 'imported:1', '/bin/sh', '-c', `${list}; ls /srv/keep`),
    ])
    assert.ok(imported.endsWith(whole))
    assert.ok(lines(imported).includes('srv/source/deep/hard'))
  },
}

/** A tree as dockerd's own tars keep it: times in whole seconds, and no time of the root. */
function inSeconds(path: string): Snapshot {
  const tree = snapshot(path, { timeless: new Set(['']) })
  return new Map([...tree].map(([name, line]) => [name, line.replace(/(mtime=\d+)\d{9}/, '$1')]))
}

/** Creates a directory with everything that `docker cp` keeps. */
function makeSource(source: string): void {
  const path = (name: string) => join(source, name)
  mkdirSync(path('deep'), { recursive: true })
  mkdirSync(path('empty'), { mode: 0o1711 })
  for (const [name, mode, owner] of FILES) {
    writeFileSync(path(name), name === 'own' ? 'owned\n' : `${name}\n`)
    chownSync(path(name), owner, owner)
    chmodSync(path(name), mode)
  }
  setAttribute(Buffer.from(path('capable')), 'security.capability', CAPABILITY)
  linkSync(path('own'), path('deep/hard'))
  symlinkSync('../own', path('deep/soft'))
  symlinkSync('/nowhere', path('dangling'))
  chownSync(path('empty'), 1000, 5)
  chmodSync(path('empty'), 0o1711)
  for (const name of ['dangling', 'deep/soft']) lutimesSync(path(name), 1_600_000_000, 1_600_000_000)
  const all = [...FILES.map(([name]) => name), 'deep', 'empty', '']
  for (const name of all) utimesSync(path(name), 1_700_000_000, 1_700_000_000)
}

const FILES = [
  ['own', 0o640, 1000],
  ['setuid', 0o4755, 0],
  ['setgid', 0o2750, 1000],
  ['capable', 0o755, 0],
] as const
