/** The tree that varve mounts is the tree that GNU tar makes of the same layers. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { readImages } from '../archive.js'
import { unpackLayers } from '../gnu-tar.js'
import { differences, snapshot } from '../oracle.js'
import { withVarve } from '../varve.js'
import { realImages } from './real.js'

/** One of every maker and form; the others hold the same layers. */
const IMAGES = ['docker-rich', 'docker-several', 'podman-several', 'skopeo-zstd', 'umoci']

for (const fixture of realImages().filter(({ name }) => IMAGES.includes(name))) {
  for (const driver of ['overlay', 'vfs']) {
    test(`${fixture.name}: mounted on ${driver}, it is GNU tar's tree`, { skip: fixture.skip }, async (t) => {
      const source = await fixture.load()
      await withVarve(driver, async ({ varve }, work) => {
        await varve('import', source.path)
        for (const [i, image] of readImages(source.path, join(work, 'source')).entries()) {
          const reference = join(work, `tree-${i}`)
          const unpacked = unpackLayers(image.files, reference)
          const expected = snapshot(reference, unpacked)
          const mounted = (await varve('mount', `sha256:${image.id}`)).trimEnd()
          try {
            const actual = snapshot(mounted, unpacked)
            assert.deepEqual(differences(expected, actual), [])
            t.diagnostic(`${image.layers.length} layers, ${actual.size} entries are equal`)
          } finally {
            await varve('umount', `sha256:${image.id}`)
          }
        }
      })
    })
  }
}
