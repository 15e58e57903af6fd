/** What dockerd is doing when a process is killed: phases that build on each other, and what must be there after each. */
import assert from 'node:assert/strict'
import { IMAGE } from '../../busy-image.js'
import type { Docker } from '../engine.js'
import { RUN } from '../stage.js'

export interface Phase {
  readonly name: string
  /** May be repeated after it failed halfway. */
  run(docker: Docker, archive: string): Promise<unknown>
  /** Checks the result once `run` has succeeded. */
  look(docker: Docker): Promise<void>
}

const EDIT = 'rm -r /srv/keep; mkdir /srv/keep; echo edited > /srv/keep/file; mv /srv/two /srv/moved'
const EDITED = 'cat /srv/keep/* /srv/moved /srv/gone/2; test ! -e /srv/two'
const RECIPE = 'FROM edited:1\nRUN cp /srv/keep/file /copy\nRUN echo two > /two && rm -r /srv\n'

export const PHASES: readonly Phase[] = [
  {
    name: 'load',
    run: (docker, archive) => docker.docker('load', '--input', archive),
    look: (docker) => says(docker, IMAGE, 'cat /srv/keep/7 /srv/gone/* /srv/two', 'seven\nnew\nhard\n'),
  },
  {
    name: 'run',
    async run(docker) {
      await docker.docker('rm', '--force', 'edit').catch((error: unknown) => {
        if (!String(error).includes('No such container')) throw error // of an earlier try
      })
      await docker.docker(...RUN, '--name', 'edit', IMAGE, 'sh', '-c', EDIT)
    },
    async look(docker) {
      const changes = (await docker.docker('diff', 'edit')).split('\n')
      for (const line of ['A /srv/moved', 'D /srv/two', 'D /srv/keep/3']) {
        assert.ok(changes.includes(line), `${line} is not in ${changes}`)
      }
    },
  },
  {
    name: 'commit',
    run: (docker) => docker.docker('commit', 'edit', 'edited:1'),
    look: (docker) => says(docker, 'edited:1', EDITED, 'edited\nhard\nnew\n'),
  },
  build('build', '0'),
  build('build with BuildKit', '1'),
]

function build(name: string, kit: '0' | '1'): Phase {
  const image = `built:${kit}`
  const words = ['build', '--network', 'none', '--no-cache', '--tag', image, '-']
  return {
    name,
    run: (docker) => docker.dockerWith(words, { DOCKER_BUILDKIT: kit }, RECIPE),
    look: (docker) => says(docker, image, 'cat /copy /two; test ! -e /srv', 'edited\ntwo\n'),
  }
}

async function says(docker: Docker, image: string, script: string, want: string): Promise<void> {
  assert.equal(await docker.docker(...RUN, '--rm', image, 'sh', '-c', script), want)
}
