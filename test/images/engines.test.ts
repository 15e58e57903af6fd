/** Other engines take what varve exports, and find the same image in it: config digest and diff ids. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { command, missingCommands } from '../../fixtures/command.js'
import { DOCKER_COMMANDS, withDocker } from '../../fixtures/docker.js'
import { PODMAN_COMMANDS, skopeoCopy, withPodman } from '../../fixtures/podman.js'
import { type ReadImage, readImages } from '../archive.js'
import { unpackLayers } from '../gnu-tar.js'
import { snapshot } from '../oracle.js'
import { type Varve, withVarve } from '../varve.js'
import { type Row, realImages } from './real.js'

interface Engine {
  readonly name: string
  readonly needs: readonly string[]
  /** Takes exports of the image in several forms and gives what it made of each. */
  take(image: ReadImage, varve: Varve, work: string): Promise<void>
}

const NAME = 'varve.test/exported:1'

const ENGINES: readonly Engine[] = [
  {
    name: 'docker load',
    needs: DOCKER_COMMANDS,
    take: (image, varve, work) =>
      withDocker(async ({ docker }) => {
        for (const compress of ['none', 'gzip']) {
          const file = await exported(varve, work, 'docker-archive', compress)
          const said = await docker(['load', '--input', file])
          assert.match(said, /Loaded image: varve\.test\/exported:1/)
          assertInspected(await docker(['image', 'inspect', NAME]), image)
          await docker(['image', 'rm', '--force', NAME])
        }
      }),
  },
  {
    name: 'podman load',
    needs: PODMAN_COMMANDS,
    take: (image, varve, work) =>
      withPodman(async ({ podman }) => {
        for (const [format, compress] of FORMS) {
          const file = await exported(varve, work, format, compress)
          await podman(['load', '--quiet', '--input', file])
          assertInspected(await podman(['image', 'inspect', `sha256:${image.id}`]), image)
          await podman(['rmi', '--force', image.id])
        }
      }),
  },
  {
    name: 'skopeo copy',
    needs: ['skopeo', 'setpriv', 'unshare'],
    async take(image, varve, work) {
      for (const [format, compress] of [...FORMS, ['oci-layout', 'gzip'], ['oci-layout', 'zstd']] as const) {
        const file = await exported(varve, work, format, compress)
        // To the like form: another one would need another config.
        const copy = join(work, `copy-${format}-${compress}`)
        const [from, to] =
          format === 'docker-archive' ? [format, format] : [format.replace('oci-layout', 'oci'), 'oci']
        await skopeoCopy(`${from}:${file}`, `${to}:${copy}${to === 'oci' ? ':1' : ''}`)
        const [taken] = readImages(copy, `${copy}.read`)
        assert.deepEqual(taken?.layers, image.layers)
        assert.equal(taken?.id, image.id)
      }
    },
  },
  {
    name: 'umoci unpack',
    needs: ['umoci'],
    async take(image, varve, work) {
      const layout = await exported(varve, work, 'oci-layout', 'gzip')
      const bundle = join(work, 'bundle')
      const [read] = readImages(layout, join(work, 'layout-read'))
      await command('umoci', ['unpack', '--image', `${layout}:${read?.names[0]}`, bundle])
      assert.equal(read?.id, image.id)
      const reference = join(work, 'reference')
      unpackLayers(image.files, reference)
      const paths = (root: string) => [...snapshot(root).keys()]
      assert.deepEqual(paths(join(bundle, 'rootfs')), paths(reference))
    },
  },
]

const FORMS = [
  ['docker-archive', 'none'],
  ['docker-archive', 'gzip'],
  ['oci-archive', 'gzip'],
  ['oci-archive', 'zstd'],
] as const

/** One image of every maker: each has its own idea of an archive. */
const MADE_BY = ['docker-rich', 'podman-docker', 'skopeo-layout', 'umoci']

for (const fixture of realImages().filter(({ name }) => MADE_BY.includes(name))) {
  for (const engine of ENGINES) {
    const skip = skipReason(fixture, engine)
    test(`${fixture.name}: ${engine.name} takes our export and finds the same image`, { skip }, async () => {
      const source = await fixture.load()
      await withVarve('overlay', async (varve, work) => {
        const [image] = readImages(source.path, join(work, 'source'))
        assert.ok(image !== undefined)
        await varve.varve('import', source.path, '--name', NAME)
        await engine.take(image, varve, work)
      })
    })
  }
}

async function exported({ varve }: Varve, work: string, format: string, compress: string): Promise<string> {
  const folder = join(work, `${format}-${compress}`)
  mkdirSync(folder)
  const file = join(folder, 'image')
  await varve('export', NAME, '-o', file, '--format', format, '--compress', compress)
  return file
}

function assertInspected(text: string, image: ReadImage): void {
  const [found] = JSON.parse(text) as { Id: string; RootFS: { Layers: string[] } }[]
  assert.equal(found?.Id.replace('sha256:', ''), image.id)
  assert.deepEqual(found?.RootFS.Layers, image.layers)
}

function skipReason(fixture: Row, engine: Engine): string | false {
  if (fixture.skip !== false) return fixture.skip
  const missing = missingCommands(engine.needs)
  return missing.length > 0 ? `needs ${missing.join(', ')}` : false
}
