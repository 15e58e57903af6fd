/** What must hold for a real image on a driver. Each image is imported once for all of its tests. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { FIXTURES, missingFor } from '../../fixtures/images.js'
import { type ReadImage, readImages } from '../support/archive.js'
import { type Varve, withVarve } from '../support/varve.js'
import { ENGINES, EXPORTED_NAME, missingForEngine } from './engines.js'
import { exportAndCompare } from './round-trip.js'
import { mountAndCompare } from './tree.js'

/** Images with the same layers as another one, packed in another form; their trees need not be compared again. */
const SAME_TREES = ['podman-docker', 'podman-oci', 'skopeo-layout']
/** One image of every maker is given to the other engines, since each maker writes its own form of archive. */
const FOR_ENGINES = ['docker-rich', 'podman-docker', 'skopeo-layout', 'umoci']

/** Defines the tests for all images of this maker, on overlay and on vfs. */
export function testRealImages(maker: string): void {
  const fixture = FIXTURES.find(({ name }) => name === maker)
  if (fixture === undefined) throw new Error(`no fixture ${maker}`)
  const skip = missingFor(fixture) ?? false
  for (const name of fixture.images) {
    for (const driver of ['overlay', 'vfs']) {
      test(`${name} on ${driver}`, { skip }, async (t) => {
        const source = (await fixture.make()).find((image) => image.name === name)
        assert.ok(source !== undefined)
        await withVarve(driver, async (varve, work) => {
          const originals = readImages(source.path, join(work, 'source'))
          await t.test('is imported with each image under its config digest', async () => {
            assert.equal(originals.length, source.images)
            const imported = await varve.json<{ id: string }>('import', source.path)
            const ids = originals.map(({ id }) => `sha256:${id}`)
            assert.deepEqual(imported.map(({ id }) => id).sort(), ids.sort())
          })
          await t.test('is exported byte for byte', async () => {
            for (const image of originals) await exportAndCompare(image, driver === 'overlay', varve, work)
          })
          if (!SAME_TREES.includes(name)) {
            await t.test("is mounted as GNU tar's tree", async (tree) => {
              for (const image of originals) tree.diagnostic(await mountAndCompare(image, varve, work))
            })
          }
          const [first] = originals
          if (driver !== 'overlay' || !FOR_ENGINES.includes(name) || first === undefined) return
          await testEngines(first, varve, work, (title, options, body) => t.test(title, options, body))
        })
      })
    }
  }
}

type Define = (title: string, options: { skip: string | false }, body: () => Promise<void>) => Promise<void>

async function testEngines(image: ReadImage, varve: Varve, work: string, define: Define): Promise<void> {
  await varve.varve('tag', `sha256:${image.id}`, EXPORTED_NAME)
  for (const engine of ENGINES) {
    const skip = missingForEngine(engine) ?? false
    await define(`is the same image for ${engine.name}`, { skip }, () => engine.take(image, varve, work))
  }
}
