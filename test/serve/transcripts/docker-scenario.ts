/** The commands that dockerd gets while its transcript is recorded. Files that it changes get times of 2024. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IMAGE, writeBusyImage } from '../busy-image.js'
import { withDockerd } from '../dockerd/engine.js'
import { recordDocker } from './docker-recorder.js'
import type { DockerLine } from './lines.js'

const RUN = ['run', '--network', 'none', '--hostname', 'box'] as const

export const EDITS = [
  'cd /srv',
  'test ! -e new || exit 0',
  'echo new >new',
  'rm keep/3 keep/4',
  'rm -r gone',
  'mkdir gone',
  'echo other >gone/1',
  'chmod 700 keep',
  'ln -s new link',
  'mv two moved',
  'mkdir -p deep/er',
].join('; ')
const MARCH = new Date('2024-03-01T00:00:00Z')
/** Sets times, so that a layer of it always has the same tar. */
export const SETTLE =
  'for each in 1 2; do find /srv | while read f; do touch -d "2024-03-01 00:00:00" $f; done; done'

const RECIPE = `FROM ${IMAGE} AS one
RUN rm -r /srv/gone /srv/keep/7; echo one >/srv/first
FROM ${IMAGE}
COPY context /srv/context
COPY --from=one /srv/first /srv/copied
RUN rm /srv/context/b
`

/** Runs Debian's dockerd on varve's overlay backend. Needs root and DOCKERD_COMMANDS. */
export async function recordDockerd(): Promise<readonly DockerLine[]> {
  const work = mkdtempSync(join(tmpdir(), 'vt-'))
  try {
    return await record(work)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function record(work: string): Promise<readonly DockerLine[]> {
  const place = join(work, 'engine')
  const context = join(work, 'build')
  for (const directory of [place, context, join(context, 'context')]) mkdirSync(directory)
  const files = { 'context/a': 'a\n', 'context/b': 'b\n', Dockerfile: RECIPE }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(context, name), content)
  for (const name of ['context', ...Object.keys(files)]) utimesSync(join(context, name), MARCH, MARCH)
  await writeBusyImage(join(work, 'busy.tar'))
  const recorder = recordDocker({ ROOT: join(place, 'varve'), PLACE: place })
  recorder.step('dockerd starts')
  return withDockerd({ place, storage: { varve: 'overlay' }, between: recorder.open }, async (engine) => {
    const step = async (...args: readonly string[]) => {
      recorder.step(['docker', ...args].join(' ').replaceAll(work, 'WORK'))
      return engine.docker(...args)
    }
    const restart = async (signal: 'SIGTERM' | 'SIGKILL') => {
      recorder.restart(signal)
      await engine.service().end(signal)
      await engine.startService()
    }
    const build = async (kit: '0' | '1', tag: string) => {
      recorder.step(`DOCKER_BUILDKIT=${kit} docker build --tag ${tag}`)
      const args = ['build', '--network', 'none', '--tag', tag, context]
      await engine.dockerWith(args, { DOCKER_BUILDKIT: kit, BUILDKIT_PROGRESS: 'plain' })
    }
    const version = (await engine.docker('version', '--format', '{{.Server.Version}}')).trim()
    await step('info', '--format', '{{.Driver}}')
    await step('load', '--input', join(work, 'busy.tar'))
    await step('save', '--output', join(work, 'saved.tar'), IMAGE)
    await step(...RUN, '--rm', IMAGE, 'true')
    await step(...RUN, '--name', 'edited', IMAGE, 'sh', '-c', `${EDITS}; ${SETTLE}`)
    await assert.rejects(step(...RUN, '--storage-opt', 'nothing=1', IMAGE, 'true'), /option "nothing"/)
    await step('diff', 'edited')
    await step('ps', '--all', '--size', '--format', '{{.Names}}')
    await step('inspect', '--size', 'edited')
    await step('commit', 'edited', 'committed:1')
    await step(
      ...RUN,
      '--detach',
      '--stop-signal',
      'SIGKILL',
      '--name',
      'staying',
      'committed:1',
      'sleep',
      '1000',
    )
    await step(
      'exec',
      'staying',
      'sh',
      '-c',
      'echo more >/srv/more; touch -d "2024-03-01 00:00:00" /srv/more /srv',
    )
    await step('diff', 'staying')
    await restart('SIGTERM')
    await step('diff', 'staying')
    await restart('SIGKILL')
    await step('cp', join(context, 'Dockerfile'), 'staying:/srv/recipe')
    await step('commit', '--pause=false', 'staying', 'committed:2')
    await step('rm', '--force', 'staying')
    await build('0', 'classic:1')
    await build('1', 'kit:1')
    for (const image of ['committed:2', 'kit:1'])
      await step('save', '--output', join(work, 'saved.tar'), image)
    recorder.step('dockerd ends, and starts again')
    await engine.dockerd().end('SIGTERM')
    await engine.startDockerd()
    await step('start', '--attach', 'edited')
    await step('rm', 'edited')
    for (const image of ['committed:2', 'committed:1', 'classic:1', 'kit:1']) await step('rmi', image)
    await step('system', 'prune', '--all', '--force')
    recorder.step('dockerd ends')
    await engine.dockerd().end('SIGTERM')
    return recorder.lines(`dockerd ${version}`)
  })
}
