/** Other engines accept varve's exports, and find the same image in them: config digest and diff ids. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { command, missingCommands } from '../../fixtures/command.js'
import { DOCKER_COMMANDS, withDocker } from '../../fixtures/docker.js'
import { PODMAN_COMMANDS, skopeoCopy, withPodman } from '../../fixtures/podman.js'
import { type ReadImage, readImages } from '../support/archive.js'
import { unpackLayers } from '../support/gnu-tar.js'
import { snapshot } from '../support/oracle.js'
import type { Varve } from '../support/varve.js'

export interface Engine {
  readonly name: string
  readonly needs: readonly string[]
  /** Loads exports of the image in several forms, and asserts that each gives the same image. */
  take(image: ReadImage, varve: Varve, work: string): Promise<void>
}

export const EXPORTED_NAME = 'varve.test/exported:1'

export const ENGINES: readonly Engine[] = [
  {
    name: 'docker load',
    needs: DOCKER_COMMANDS,
    take: (image, varve, work) =>
      withDocker(async ({ docker }) => {
        for (const compress of ['none', 'gzip']) {
          const file = await exported(varve, work, 'docker-archive', compress)
          const said = await docker(['load', '--input', file])
          assert.match(said, /Loaded image: varve\.test\/exported:1/)
          assertInspected(await docker(['image', 'inspect', EXPORTED_NAME]), image)
          await docker(['image', 'rm', '--force', EXPORTED_NAME])
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
        // To a similar form, since another one would need another config.
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
      const reference = join(work, 'for-umoci')
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

/** Why this engine can't be used here; undefined where it can. */
export function missingForEngine(engine: Engine): string | undefined {
  const missing = missingCommands(engine.needs)
  return missing.length > 0 ? `needs ${missing.join(', ')}` : undefined
}

async function exported({ varve }: Varve, work: string, format: string, compress: string): Promise<string> {
  const folder = join(work, `${format}-${compress}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder)
  const file = join(folder, 'image')
  await varve('export', EXPORTED_NAME, '-o', file, '--format', format, '--compress', compress)
  return file
}

function assertInspected(text: string, image: ReadImage): void {
  const [found] = JSON.parse(text) as { Id: string; RootFS: { Layers: string[] } }[]
  assert.equal(found?.Id.replace('sha256:', ''), image.id)
  assert.deepEqual(found?.RootFS.Layers, image.layers)
}
