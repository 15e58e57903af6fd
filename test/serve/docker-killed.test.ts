/**
 * kill -9 to the service at a random system call, while dockerd loads, runs, commits and builds; it is started again at
 * once. dockerd goes on, by itself or at the second try, no layer is lost, and at the end none is left. One round a
 * backend; `VARVE_ROUNDS=20` for more.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { createRandom } from '../conformance/random.js'
import { SEED } from '../seed.js'
import { SERVE_CELLS } from './cells.js'
import { until } from './containerd-engine.js'
import { DOCKERD_COMMANDS, type Docker, withDockerd } from './docker-engine.js'
import { IMAGE, writeBusyImage } from './docker-image.js'

const ROUNDS = Number(process.env.VARVE_ROUNDS ?? 1)
/** Changing calls of a round; on vfs a layer is copied, which takes thousands. */
const CALLS: Readonly<Record<string, number>> = { overlay: 400, btrfs: 250, vfs: 4000 }
const RUN = ['run', '--network', 'none'] as const
const EDIT = 'rm -r /srv/keep; mkdir /srv/keep; echo edited > /srv/keep/file; mv /srv/two /srv/moved'
const LOOK = 'cat /srv/keep/* /srv/moved /srv/gone/2; test ! -e /srv/two'
const SEEN = 'edited\nhard\nnew\n'

const missing = missingCommands(DOCKERD_COMMANDS)

for (const { driver, skip, within } of SERVE_CELLS) {
  const reason = skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)
  test(`the service is killed under dockerd on ${driver}`, { skip: reason }, async (t) => {
    const random = createRandom(SEED)
    await within(async (directory) => {
      const archive = join(directory, 'busy.tar')
      await writeBusyImage(archive)
      mkdirSync(join(directory, 'engine'))
      await withDockerd({ place: join(directory, 'engine'), storage: { varve: driver } }, async (docker) => {
        for (let round = 0; round < ROUNDS; round++) {
          const call = 1 + random.below(CALLS[driver] ?? 1)
          await t.test(`round ${round}: at changing call ${call}`, async (sub) => {
            sub.diagnostic(await killedAt(docker, { archive, call }))
          })
        }
      })
    })
  })
}

/** When it was killed, in words. */
async function killedAt(
  docker: Docker,
  { archive, call }: { readonly archive: string; readonly call: number },
): Promise<string> {
  await docker.service().end('SIGTERM')
  const doomed = await docker
    .startService({ VARVE_FAULT: `kill:call:${call}` })
    .catch((error: unknown) => assert.match(String(error), /varve has ended: SIGKILL/))
  const working = doomed === undefined ? undefined : work(docker, archive)
  const failed = Promise.resolve(working).then(
    () => undefined,
    (error: unknown) => error,
  )
  const isKilled = doomed && (await Promise.race([doomed.ended.then(() => true), failed.then(() => false)]))
  if (isKilled === false) await doomed?.end('SIGKILL')
  await docker.startService()
  const error = await failed
  if (error !== undefined || doomed === undefined) {
    await until('dockerd goes on', async () => {
      await docker.docker('container', 'prune', '--force')
      await work(docker, archive)
    })
  }
  assert.equal(await docker.docker(...RUN, '--rm', 'edited:1', 'sh', '-c', LOOK), SEEN)
  assert.equal(await docker.docker(...RUN, '--rm', 'built:1', 'cat', '/copy', '/two'), 'edited\ntwo\n')
  await docker.varve('check', '--data')
  await docker.docker('container', 'prune', '--force')
  await docker.docker('system', 'prune', '--all', '--force')
  assert.equal(await docker.varve('layers', '--quiet'), '', 'nothing is left')
  assert.equal(await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1'), '')
  await docker.varve('check', '--data')
  if (doomed === undefined) return 'killed as it started'
  if (!isKilled) return 'killed at rest: the round needed fewer calls'
  return error === undefined ? 'killed at work, and dockerd went on by itself' : 'killed at work'
}

async function work(docker: Docker, archive: string): Promise<void> {
  await docker.docker('load', '--input', archive)
  await docker.docker('rm', '--force', 'edit').catch((error: unknown) => {
    if (!String(error).includes('No such container')) throw error // of an earlier try
  })
  await docker.docker(...RUN, '--name', 'edit', IMAGE, 'sh', '-c', EDIT)
  await docker.docker('commit', 'edit', 'edited:1')
  await docker.docker('rm', 'edit')
  const recipe = 'FROM edited:1\nRUN cp /srv/keep/file /copy\nRUN echo two > /two && rm -r /srv\n'
  const env = { DOCKER_BUILDKIT: '1' }
  const words = ['build', '--network', 'none', '--no-cache', '--tag', 'built:1', '-']
  await docker.dockerWith(words, env, recipe)
}
