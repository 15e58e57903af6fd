/**
 * Every combination of the documents that an archive may have, against one rule: each image is imported, or named in a
 * notice. Tools read different documents, so archives have several, and some of them name only some of the images.
 */
import assert from 'node:assert/strict'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ImageSource } from '../../../core/formats/read/image.js'
import { openSource } from '../../../core/formats/read/source.js'
import {
  type Content,
  createBlobs,
  digestOfBytes,
  hexOf,
  imageOf,
  layerTar,
  TYPES,
  tarOf,
  tempDirs,
  writeFolder,
} from './build.js'

const base = layerTar('base')
const IMAGES = { A: imageOf([base, layerTar('a')]), B: imageOf([base, layerTar('b')]) } as const
type Which = keyof typeof IMAGES
const BOTH: readonly Which[] = ['A', 'B']

const blobs = createBlobs()
const plain = (which: Which) => {
  const parts = IMAGES[which]
  const layers = parts.layers.map((layer) => blobs.put(layer, TYPES.tar))
  return blobs.manifest(parts, {}, { layers })
}
const MANIFESTS = { A: plain('A'), B: plain('B') } as const
const NAME = { 'org.opencontainers.image.ref.name': 'a:1' }
const V1 = { base: '0'.repeat(64), A: 'a'.repeat(64), B: 'b'.repeat(64) } as const

/** `null`: the list is null, as Docker 25.0 wrote it. */
type Listed = readonly Which[] | null | undefined

interface Combination {
  readonly layout: boolean
  readonly index: Listed
  readonly manifest: Listed
  /** The images that have folders of old docker; `repositories`: those that it names. */
  readonly v1: readonly Which[]
  readonly repositories: readonly Which[] | undefined
}

const LISTS: readonly Listed[] = [undefined, null, [], ['A'], ['B'], BOTH]
const OLD: readonly Pick<Combination, 'v1' | 'repositories'>[] = [
  { v1: [], repositories: undefined },
  { v1: ['A'], repositories: ['A'] },
  { v1: BOTH, repositories: ['A'] },
  { v1: BOTH, repositories: BOTH },
  { v1: BOTH, repositories: undefined },
]
const COMBINATIONS: readonly Combination[] = [true, false].flatMap((layout) =>
  LISTS.flatMap((index) =>
    // Go would write null there too, but nobody does.
    LISTS.filter((list) => list !== null).flatMap((manifest) =>
      OLD.map((old) => ({ layout, index, manifest, ...old })),
    ),
  ),
)

/** Links to blobs are symlinks, as in docker save. */
function contentOf({ layout, index, manifest, v1, repositories }: Combination): Content {
  const content: Record<string, Buffer | string> = { ...blobs.content }
  if (layout) content['oci-layout'] = '{"imageLayoutVersion":"1.0.0"}'
  if (index !== undefined) {
    const manifests = index?.map((which) => ({
      ...MANIFESTS[which],
      ...(which === 'A' ? { annotations: NAME } : {}),
    }))
    content['index.json'] = JSON.stringify({ schemaVersion: 2, manifests: manifests ?? null })
  }
  if (manifest) {
    content['manifest.json'] = JSON.stringify(
      manifest.map((which) => ({
        Config: `blobs/sha256/${hexOf(IMAGES[which].config)}`,
        RepoTags: which === 'A' ? ['a:1'] : null,
        Layers: IMAGES[which].layers.map((layer) => `blobs/sha256/${hexOf(layer)}`),
      })),
    )
  }
  for (const which of v1) {
    for (const [id, parent, layer] of [
      [V1.base, undefined, IMAGES[which].layers[0]],
      [V1[which], V1.base, IMAGES[which].layers[1]],
    ] as const) {
      content[`${id}/json`] = JSON.stringify({ id, parent, created: '2024-01-02T03:04:05Z', os: 'linux' })
      content[`${id}/layer.tar`] = `->../blobs/sha256/${hexOf(layer ?? '')}`
    }
  }
  if (repositories) {
    const tags = repositories.map((which) => [which === 'A' ? 'a' : 'b', { 1: V1[which] }] as const)
    content.repositories = JSON.stringify(Object.fromEntries(tags))
  }
  return content
}

/** The images that must be imported: all that a document names, and every top layer of old docker. */
function expectedOf({ layout, index, manifest, v1 }: Combination): readonly Which[] {
  const isIndexRead = index !== undefined && (layout || manifest !== undefined || v1.length > 0)
  return BOTH.filter(
    (which) =>
      (isIndexRead && index?.includes(which) === true) ||
      manifest?.includes(which) === true ||
      v1.includes(which),
  )
}

test('every image of an archive is imported or named, whatever documents it has', async (t) => {
  assert.equal(COMBINATIONS.length, 300)
  const { dir, scratch } = tempDirs(t)
  for (const combination of COMBINATIONS) {
    const content = contentOf(combination)
    const file = join(dir, 'archive.tar')
    writeFileSync(file, tarOf(content))
    await requireRule(file, scratch, combination)
  }
})

test('… and the same holds if the archive is a folder', async (t) => {
  const { dir, scratch } = tempDirs(t)
  for (const combination of COMBINATIONS.filter(({ layout }) => layout)) {
    const folder = join(dir, 'folder')
    const entries = Object.entries(contentOf(combination))
    const isLink = (value: Buffer | string) => typeof value === 'string' && value.startsWith('->')
    writeFolder(folder, Object.fromEntries(entries.filter(([, value]) => !isLink(value))))
    for (const [path, value] of entries)
      if (isLink(value)) symlinkSync(String(value).slice(2), join(folder, path))
    await requireRule(folder, scratch, combination)
    rmSync(folder, { recursive: true })
  }
})

async function requireRule(path: string, scratch: string, combination: Combination): Promise<void> {
  const title = JSON.stringify(combination)
  const expected = expectedOf(combination)
  const notices: string[] = []
  let source: ImageSource
  try {
    source = await openSource(path, { scratch, notice: (message) => notices.push(message) })
  } catch (error) {
    assert.deepEqual(expected, [], `${title}: ${error}`)
    assert.match(String(error), /no image in it|no document names|it lacks/, title)
    return
  }
  try {
    const diffIds = (which: Which) => IMAGES[which].layers.map(digestOfBytes).join()
    assert.deepEqual(
      source.images.map((image) => image.diffIds.join()).sort(),
      expected.map(diffIds).sort(),
      title,
    )
    for (const which of BOTH) {
      const told = notices.some((notice) => notice.includes(String(MANIFESTS[which].digest)))
      // Folders of old docker give another config, so the manifest beside them is another image's.
      const isNamed = expectedOf({ ...combination, v1: [] }).includes(which)
      if (isNamed || !expected.includes(which))
        assert.equal(told, !isNamed, `${title}: ${notices.join('; ')}`)
    }
    for (const image of source.images) {
      const isA = image.diffIds.join() === diffIds('A')
      for (const name of image.names) assert.equal(name, isA ? 'a:1' : 'b:1', title)
    }
  } finally {
    await source.close()
  }
}
