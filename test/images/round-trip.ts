/** Exports have the identical layers, in every format and compression. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Compression, type ReadImage, readImages } from '../support/archive.js'
import type { Varve } from '../support/varve.js'

const FORMATS = ['docker-archive', 'oci-archive', 'oci-layout'] as const
const COMPRESSIONS: readonly Compression[] = ['none', 'gzip', 'zstd']
/** docker before 23 can't load zstd, so that pair is refused. */
const EVERY = FORMATS.flatMap((format) => COMPRESSIONS.map((compress) => ({ format, compress }))).filter(
  ({ format, compress }) => format !== 'docker-archive' || compress !== 'zstd',
)
/** The formats don't depend on the driver, so one of each kind shows that the driver returns the right bytes. */
const SOME = EVERY.filter(({ format, compress }) => (format === 'oci-archive') === (compress === 'gzip'))

/** @throws AssertionError where an export is not the imported image */
export async function exportAndCompare(
  image: ReadImage,
  every: boolean,
  { varve }: Varve,
  work: string,
): Promise<void> {
  for (const { format, compress } of every ? EVERY : SOME) {
    const out = join(work, 'out')
    const read = join(work, 'out-read')
    await varve('export', `sha256:${image.id}`, '-o', out, '--format', format, '--compress', compress)
    const [exported, ...more] = readImages(out, read)
    const what = `${format} ${compress}`
    assert.equal(more.length, 0, what)
    assert.equal(exported?.id, image.id, `${what}: the config`)
    assert.deepEqual(exported?.layers, image.layers, `${what}: the layers`)
    assert.deepEqual(exported?.diffIds, image.layers, `${what}: the diff ids`)
    assert.deepEqual(new Set(exported?.compressions), new Set([compress]), what)
    for (const path of [out, read]) rmSync(path, { recursive: true, force: true })
  }
}
