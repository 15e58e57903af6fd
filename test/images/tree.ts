/** The tree that varve mounts is the tree that GNU tar makes of the same layers. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ReadImage } from '../support/archive.js'
import { unpackLayers } from '../support/gnu-tar.js'
import { differences, snapshot } from '../support/oracle.js'
import type { Varve } from '../support/varve.js'

/** Resolves to a description of what was compared. @throws AssertionError with the first differences */
export async function mountAndCompare(image: ReadImage, { varve }: Varve, work: string): Promise<string> {
  const reference = join(work, 'reference')
  const unpacked = unpackLayers(image.files, reference)
  const expected = snapshot(reference, unpacked)
  rmSync(reference, { recursive: true, force: true })
  const mounted = (await varve('mount', `sha256:${image.id}`)).trimEnd()
  try {
    const actual = snapshot(mounted, unpacked)
    assert.deepEqual(differences(expected, actual), [])
    return `${image.layers.length} layers, ${actual.size} entries are equal`
  } finally {
    await varve('umount', `sha256:${image.id}`)
  }
}
