/** Real images in, the identical layers out, in every format and compression, on overlay and on vfs. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Compression, type ReadImage, readImages } from '../archive.js'
import { withVarve } from '../varve.js'
import { realImages } from './real.js'

const FORMATS = ['docker-archive', 'oci-archive', 'oci-layout'] as const
const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'zstd']
/** No docker before 23 loads zstd, so that pair is refused. */
const EVERY = FORMATS.flatMap((format) => COMPRESSIONS.map((compress) => ({ format, compress }))).filter(
  ({ format, compress }) => format !== 'docker-archive' || compress !== 'zstd',
)
/** Export reads through the driver: what the formats do with the bytes is the same on the second driver. */
const SOME = EVERY.filter(({ format, compress }) => (format === 'oci-archive') === (compress === 'gzip'))

for (const fixture of realImages()) {
  for (const driver of ['overlay', 'vfs']) {
    const title = `${fixture.name}: what is imported on ${driver} is exported byte for byte`
    test(title, { skip: fixture.skip }, async (t) => {
      const source = await fixture.load()
      await withVarve(driver, async ({ varve, json }, work) => {
        const originals = readImages(source.path, join(work, 'source'))
        assert.equal(originals.length, source.images)
        const imported = await json<{ id: string; names: string[] }>('import', source.path)
        assert.deepEqual(
          imported.map(({ id }) => id).sort(),
          originals.map(({ id }) => `sha256:${id}`).sort(),
        )
        for (const original of originals) {
          for (const { format, compress } of driver === 'overlay' ? EVERY : SOME) {
            const out = join(work, 'out')
            const options = ['--format', format, '--compress', compress]
            await varve('export', `sha256:${original.id}`, '-o', out, ...options)
            const [exported, ...more] = readImages(out, join(work, 'exported'))
            assert.equal(more.length, 0)
            assert.ok(exported !== undefined)
            assertSameImage(exported, original, `${format} ${compress}`)
            assert.ok(
              exported.compressions.every((one) => one === compress),
              `${exported.compressions}`,
            )
            for (const path of [out, join(work, 'exported')]) rmSync(path, { recursive: true, force: true })
          }
        }
        t.diagnostic(`${originals.length} images, ${originals.flatMap(({ layers }) => layers).length} layers`)
      })
    })
  }
}

function assertSameImage(actual: ReadImage, expected: ReadImage, what: string): void {
  assert.equal(actual.id, expected.id, `${what}: the config`)
  assert.deepEqual(actual.layers, expected.layers, `${what}: the layers`)
  assert.deepEqual(actual.diffIds, expected.layers, `${what}: the diff ids`)
}
