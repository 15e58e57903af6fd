/** Builds with both builders: several stages, and with a cache. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IMAGE } from '../busy-image.js'
import type { Docker } from './engine.js'
import { type Cases, RUN } from './stage.js'

const RECIPE = `FROM ${IMAGE} AS one
RUN echo one > /srv/first && rm /srv/keep/1 /srv/keep/2
RUN rm /srv/first && mkdir /srv/dir && echo two > /srv/dir/second && rm -r /srv/gone
FROM one AS two
COPY --from=${IMAGE} /srv/gone /srv/gone
RUN ln -s dir /srv/link && chmod 750 /srv/one
FROM ${IMAGE}
RUN echo stage > /srv/stage
COPY --from=one /srv /copied
COPY --from=two --chown=1000:1000 /srv/one /srv/gone /own/
COPY context /srv/context
RUN ls /srv/gone && cat /copied/dir/second && rm /srv/context/b
`
/** Number of steps that come from the cache when nothing has changed, and when the context has. */
const CACHED = { all: 9, some: 7 } as const

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

/own:
2
one

context:
a
stage
1000 750
`

export const BUILDS: Cases = {
  async 'build: several stages, with a cache, with the classic builder'({ docker }) {
    await buildThrice(docker, { name: 'classic:1', kit: '0', cached: /Using cache/g })
  },

  async 'build: the same with BuildKit, which writes layers through mounts'({ docker }) {
    await buildThrice(docker, { name: 'kit:1', kit: '1', cached: / CACHED$/gm })
  },

  async 'build: a cache mount of BuildKit outlives its build'({ docker }) {
    const words = ['build', '--network', 'none', '--tag', 'mount:1', '-'] as const
    for (const [line, want] of ['x\n', 'x\ny\n'].entries()) {
      const run = `echo ${'xy'.charAt(line)} >> /cache/lines && cp /cache/lines /lines`
      const recipe = `FROM ${IMAGE}\nRUN --mount=type=cache,target=/cache ${run}\n`
      await docker.dockerWith(words, { DOCKER_BUILDKIT: '1' }, recipe)
      // Newer versions remove the mount point afterwards.
      const script = 'cat /lines; ls /cache 2>/dev/null || :'
      assert.equal(await docker.docker(...RUN, '--rm', 'mount:1', 'sh', '-c', script), want)
    }
  },
}

interface Build {
  readonly name: string
  readonly kit: '0' | '1'
  /** Matches each step that came from the cache in the output. */
  readonly cached: RegExp
}

async function buildThrice(docker: Docker, { name, kit, cached }: Build): Promise<void> {
  const context = mkdtempSync(join(tmpdir(), 'vc-'))
  const env = { DOCKER_BUILDKIT: kit, BUILDKIT_PROGRESS: 'plain' }
  /** Returns the number of steps that came from the cache. */
  const build = async () => {
    const said = await docker.dockerWith(['build', '--network', 'none', '--tag', name, context], env)
    return said.match(cached)?.length ?? 0
  }
  const id = () => docker.docker('inspect', '--format', '{{.Id}}', name)
  try {
    mkdirSync(join(context, 'context'))
    for (const file of ['a', 'b']) writeFileSync(join(context, 'context', file), `${file}\n`)
    writeFileSync(join(context, 'Dockerfile'), RECIPE)
    assert.equal(await build(), 0)
    const first = await id()
    assert.equal(await build(), CACHED.all)
    assert.equal(await id(), first)
    writeFileSync(join(context, 'context/a'), 'changed\n')
    assert.equal(await build(), CACHED.some)
    assert.notEqual(await id(), first)
  } finally {
    rmSync(context, { recursive: true })
  }
  const script =
    'cd /srv; ls . context /own /copied /copied/dir; cat stage; stat -c "%u %a" /own/one; test ! -e /copied/keep/1'
  assert.equal(await docker.docker(...RUN, '--rm', name, 'sh', '-c', script), BUILT)
}
