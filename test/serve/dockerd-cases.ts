/** What a real dockerd does on our storage: all that people do with it, while the admin looks in. At the end nothing is left. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import type { OtherSystem } from '../../fixtures/world.js'
import { readImages } from '../archive.js'
import { SERVE_CELLS } from './cells.js'
import { DOCKERD_COMMANDS, type Docker, withDockerd } from './docker-engine.js'
import { IMAGE, writeBusyImage } from './docker-image.js'

export interface Stage {
  readonly docker: Docker
  readonly driver: string
  /** An empty directory of the test's own. */
  readonly work: string
  readonly archive: string
  readonly system?: OtherSystem
}

export type Case = (stage: Stage) => Promise<void>

export interface DockerdTests {
  /** By title, in this order: they build on each other. */
  readonly cases: Readonly<Record<string, Case>>
  /** Whose dockerd it is; default the host's. */
  system?(): Promise<OtherSystem>
}

const missing = missingCommands(DOCKERD_COMMANDS)
const RUN = ['run', '--network', 'none'] as const
/** Stopped without the ten seconds that dockerd gives. */
const STAYING = ['--detach', '--stop-signal', 'SIGKILL'] as const
/** What a container does to its files. */
const EDITS =
  'echo new > /srv/new; rm /srv/keep/3; rm -r /srv/gone; mkdir /srv/gone; echo other > /srv/gone/1; mv /srv/two /srv/moved; chmod 700 /srv/keep; ln -s new /srv/link'

/** The cases on every backend. */
export function testDockerd(name: string, { cases, system }: DockerdTests): void {
  for (const { driver, skip, within } of SERVE_CELLS) {
    const reason = skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)
    describe(`${name} on ${driver}`, { skip: reason }, () => {
      test('does all that it does on its own storage', async (t) => {
        const other = system && { system: await system() }
        await within(async (directory) => {
          const [place, work] = ['engine', 'work'].map((each) => join(directory, each))
          if (place === undefined || work === undefined) throw new Error('no paths')
          for (const path of [place, work]) mkdirSync(path)
          const archive = join(work, 'busy.tar')
          await writeBusyImage(archive)
          await withDockerd({ place, storage: { varve: driver }, ...other }, async (docker) => {
            t.diagnostic(
              `dockerd ${(await docker.docker('version', '--format', '{{.Server.Version}}')).trim()}`,
            )
            for (const [title, run] of Object.entries(cases)) {
              let isBroken = true
              await t.test(title, async () => {
                await run({ docker, driver, work, archive, ...other })
                isBroken = false
              })
              if (isBroken) throw new Error(`${title}: the others build on it`)
            }
            assert.equal(await docker.dockerd().end('SIGTERM'), 0)
            assert.equal(await docker.service().end('SIGTERM'), 0)
            const log = readFileSync(join(place, 'varve.log'), 'utf8')
            assert.ok(!/INTERNAL|CORRUPT/.test(log), log)
          })
        })
      })
    })
  }
}

export const DOCKERD_CASES: Readonly<Record<string, Case>> = {
  async 'load: an image, with the ids it had'({ docker, driver, archive, work }) {
    assert.match(await docker.docker('load', '--input', archive), /Loaded image/)
    const [original] = readImages(archive, join(work, 'original'))
    const inspected = JSON.parse(await docker.docker('inspect', '--format', '{{json .}}', IMAGE))
    assert.equal(inspected.Id, `sha256:${original?.id}`)
    assert.deepEqual(inspected.RootFS.Layers, original?.diffIds)
    const info = await docker.docker('info')
    assert.match(info, /Storage Driver: varve/)
    assert.match(info, new RegExp(`Driver: ${driver}`))
    assert.equal(
      await docker.docker(...RUN, '--rm', IMAGE, 'sh', '-c', 'cd /srv; ls; cat keep/7 gone/* two'),
      TREE,
    )
  },

  async 'save: the layers that a dockerd on overlay2 saves'({ docker, archive, work, ...other }) {
    const saved = async (from: Docker, name: string) => {
      const file = join(work, `${name}.tar`)
      await from.docker('save', '--output', file, IMAGE)
      return readImages(file, join(work, name)).map(({ id, layers }) => ({ id, layers }))
    }
    const place = mkdtempSync(join(tmpdir(), 'vo-'))
    try {
      await withDockerd({ place, storage: { own: 'overlay2' }, ...other }, async (own) => {
        await own.docker('load', '--input', archive)
        assert.deepEqual(await saved(docker, 'ours'), await saved(own, 'overlay2'))
      })
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  },

  async 'diff: what varve diff says, of a running container and of a stopped one'({ docker }) {
    await docker.docker(...RUN, ...STAYING, '--name', 'edited', IMAGE, 'sh', '-c', `${EDITS}; sleep 1000`)
    for (const state of ['running', 'stopped']) {
      if (state === 'stopped') await docker.docker('stop', '--time', '0', 'edited')
      const id = await layerOf(docker, 'edited')
      const ours = lines(await docker.varve('diff', id.slice(0, 12)))
      assert.deepEqual(lines(await docker.docker('diff', 'edited')), ours, state)
      for (const line of ['A /srv/new', 'D /srv/keep/3', 'D /srv/two', 'A /srv/moved', 'A /srv/link']) {
        assert.ok(ours.includes(line), `${state}: ${line} is not in ${ours}`)
      }
      assert.match(await docker.varve('ls', id.slice(0, 12), '/srv'), /moved/)
      assert.equal(await docker.varve('cat', id.slice(0, 12), '/srv/gone/1'), 'other\n')
      assert.match(await docker.varve('usage', id.slice(0, 12)), /^[0-9a-f]{12} /m)
      assert.match(await docker.varve('layers'), new RegExp(`docker ${id.slice(0, 12)}`))
      await docker.varve('check')
    }
    assert.match(await docker.docker('ps', '--all', '--size', '--format', '{{.Size}}'), /^1[0-9]B/)
  },

  async 'commit: the container again, as an image'({ docker }) {
    await docker.docker('commit', '--pause=false', 'edited', 'committed:1')
    const script = 'cd /srv; ls; cat new gone/* moved; test ! -e keep/3; stat -c %a keep'
    const said = await docker.docker(...RUN, '--rm', 'committed:1', 'sh', '-c', script)
    assert.equal(said, 'gone\nkeep\nlink\nmoved\nnew\none\nnew\nother\nhard\n700\n')
    assert.match(await docker.docker('history', 'committed:1'), /echo new > /)
  },

  async 'cp: both ways, of a stopped container and of a running one'({ docker, work }) {
    await docker.docker(...RUN, ...STAYING, '--name', 'copied', IMAGE, 'sleep', '1000')
    writeFileSync(join(work, 'in'), 'from outside\n', { mode: 0o640 })
    for (const container of ['edited', 'copied']) {
      await docker.docker('cp', join(work, 'in'), `${container}:/srv/in`)
      await docker.docker('cp', `${container}:/srv`, join(work, `out-${container}`))
      assert.equal(readFileSync(join(work, `out-${container}`, 'in'), 'utf8'), 'from outside\n')
    }
    assert.equal(readFileSync(join(work, 'out-edited/gone/1'), 'utf8'), 'other\n')
    assert.equal(await docker.docker('exec', 'copied', 'stat', '-c', '%a %s', '/srv/in'), '640 13\n')
  },

  async 'export and import: the same tree'({ docker, work }) {
    const file = join(work, 'exported.tar')
    await docker.docker('export', '--output', file, 'edited')
    await docker.docker('import', file, 'imported:1')
    const list = 'cd /; find srv usr etc/passwd | sort; cat srv/in'
    const [whole, again] = await Promise.all([
      docker.docker(
        ...RUN,
        '--rm',
        'committed:1',
        'sh',
        '-c',
        'cd /; echo x > srv/in; find srv usr etc/passwd | sort',
      ),
      docker.docker(...RUN, '--rm', 'imported:1', '/bin/sh', '-c', list),
    ])
    assert.equal(again, `${whole}from outside\n`)
  },

  async 'build: several stages, and from the cache, with the classic builder'({ docker }) {
    await buildTwice(docker, 'classic:1', '0', /Using cache/)
  },

  async 'build: the same with BuildKit, which writes layers through mounts'({ docker }) {
    await buildTwice(docker, 'kit:1', '1', /CACHED/)
  },

  async 'rm --force of a running container'({ docker }) {
    await docker.docker('rm', '--force', 'copied')
    assert.equal(await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1'), '')
  },

  async 'containers at once'({ docker, driver }) {
    const names = Array.from({ length: driver === 'vfs' ? 8 : 20 }, (_, i) => `many${i}`)
    await Promise.all(
      names.map(async (name) => {
        const said = await docker.docker(
          ...RUN,
          '--name',
          name,
          IMAGE,
          'sh',
          '-c',
          `echo ${name} > /f; cat /f`,
        )
        assert.equal(said, `${name}\n`)
        assert.ok(lines(await docker.docker('diff', name)).includes('A /f'))
      }),
    )
    await Promise.all(names.map((name) => docker.docker('rm', name)))
  },

  async 'dockerd starts again, after SIGTERM and after kill -9'({ docker }) {
    const all = ['images', '--all', '--no-trunc', '--format', '{{.ID}} {{.Repository}}']
    const images = async () => lines(await docker.docker(...all))
    const before = await images()
    assert.ok(before.length > 5, before.join(', '))
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const script = 'echo x >> /x; sleep 1000'
      await docker.docker(...RUN, ...STAYING, '--name', 'through', IMAGE, 'sh', '-c', script)
      await docker.dockerd().end(signal)
      await docker.startDockerd()
      assert.deepEqual(await images(), before)
      await docker.docker('start', 'through')
      assert.match(await docker.docker('exec', 'through', 'cat', '/x'), /^x\n/)
      await docker.docker('rm', '--force', 'through')
      await docker.varve('check')
    }
  },

  async 'our service starts again beneath running containers, after SIGTERM and after kill -9'({ docker }) {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await docker.docker(...RUN, ...STAYING, '--name', 'above', IMAGE, 'sleep', '1000')
      const pid = (await docker.docker('inspect', '--format', '{{.State.Pid}}', 'above')).trim()
      await docker.service().end(signal)
      await docker.inside('sh', '-c', `echo meanwhile > /proc/${pid}/root/srv/meanwhile`)
      await docker.startService()
      assert.ok(lines(await docker.docker('diff', 'above')).includes('A /srv/meanwhile'))
      await docker.docker('commit', 'above', `above:${signal.toLowerCase()}`)
      await docker.docker('rm', '--force', 'above')
      await docker.varve('check')
    }
  },

  async 'prune: nothing is left'({ docker, driver }) {
    await docker.docker('container', 'prune', '--force')
    await docker.docker('system', 'prune', '--all', '--force')
    assert.equal(await docker.docker('images', '--all', '--quiet'), '')
    assert.equal(await docker.varve('layers', '--quiet'), '')
    assert.equal(await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1'), '')
    const homes: Readonly<Record<string, string>> = { vfs: 'vfs/dir', btrfs: 'btrfs/subvolumes' }
    const left = readdirSync(join(docker.root, homes[driver] ?? driver)).filter((name) => !name.endsWith('~'))
    assert.deepEqual(left, [])
    assert.ok(!(await docker.inside('cat', '/proc/self/mounts')).includes(`${docker.root}/`))
    await docker.varve('check', '--data')
  },
}

const TREE = 'gone\nkeep\none\ntwo\nseven\nnew\nhard\n'

const RECIPE = `FROM ${IMAGE} AS one
RUN echo one > /srv/first && rm /srv/keep/1 /srv/keep/2
RUN rm /srv/first && mkdir /srv/dir && echo two > /srv/dir/second && rm -r /srv/gone
FROM ${IMAGE}
RUN echo stage > /srv/stage
COPY --from=one /srv /copied
COPY context /srv/context
RUN ls /srv/gone && cat /copied/dir/second && rm /srv/context/b
`

async function buildTwice(docker: Docker, name: string, kit: '0' | '1', cached: RegExp): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'vc-'))
  try {
    mkdirSync(join(context, 'context'))
    for (const file of ['a', 'b']) writeFileSync(join(context, 'context', file), `${file}\n`)
    writeFileSync(join(context, 'Dockerfile'), RECIPE)
    const env = { DOCKER_BUILDKIT: kit, BUILDKIT_PROGRESS: 'plain' }
    const build = () => docker.dockerWith(['build', '--network', 'none', '--tag', name, context], env)
    assert.doesNotMatch(await build(), cached)
    assert.match(await build(), cached)
  } finally {
    rmSync(context, { recursive: true })
  }
  const script = 'cd /srv; ls . context /copied /copied/dir; cat stage; test ! -e /copied/keep/1'
  const said = await docker.docker(...RUN, '--rm', name, 'sh', '-c', script)
  assert.equal(said, BUILT)
}

const BUILT = `.:
context
gone
keep
one
stage
two

/copied:
dir
keep
one
two

/copied/dir:
second

context:
a
stage
`

/** The raw id of a container's layer. */
export async function layerOf(docker: Docker, container: string): Promise<string> {
  return (await docker.docker('inspect', '--format', '{{.GraphDriver.Data.ID}}', container)).trim()
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter(Boolean).sort()
}
