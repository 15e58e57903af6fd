/** Images that containerd pulls: imported layers are not downloaded, and pulls do not disturb each other. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CodeEntry, tarOf } from '../../../fixtures/docker-archive.js'
import { lines } from '../../support/text-lines.js'
import { viewed } from '../mounted.js'
import { writeLayout } from '../oci-layout.js'
import { openRegistry } from '../registry.js'
import { until } from '../until.js'
import { criPull } from './cri.js'
import { collectGarbage } from './engine.js'
import { idsOf, layersOf } from './layers.js'
import { withClient } from './snapshot-client.js'
import { type Cases, type Stage, said } from './stage.js'

const SIXTEEN = Array.from({ length: 16 }, (_, n) => n)

export const PULLS: Cases = {
  async 'an image that the admin imported is neither downloaded nor unpacked'(stage) {
    const { containerd, images, varve } = stage
    const layout = images['skopeo-layout'].path
    await varve.varve('import', layout, '--name', 'imported:1')
    await collectGarbage(containerd)
    const before = await layersOf(varve)
    const registry = await openRegistry(layout)
    const image = `${registry.host}/varve/small:1`
    const kubernetes = (...args: string[]) => containerd.ctr('--namespace', 'k8s.io', ...args)
    try {
      await criPull(containerd.socket, image)
      const blobs = registry.requests.filter((each) => each.startsWith('GET blobs'))
      assert.equal(blobs.length, 1, `only the image's config: ${blobs.join(', ')}`)
      assert.deepEqual(idsOf(await layersOf(varve)), idsOf(before), 'nothing new')
      const container = { image, script: 'echo imported', namespace: 'k8s.io' }
      assert.equal(await said(stage, container), 'imported\n')
      // The engine's image is removed; the admin's stays.
      const names = lines(await kubernetes('images', 'ls', '-q'))
      await kubernetes('images', 'rm', '--sync', ...names)
      await until('the snapshots are gone', async () => {
        const left = (await layersOf(varve)).filter(({ snapshots }) =>
          snapshots.some((each) => /^sha256/.test(each)),
        )
        assert.deepEqual(left, [])
      })
      assert.deepEqual(idsOf(await layersOf(varve)), idsOf(before))
      assert.match(await varve.varve('ls', 'imported:1', '/'), /bin/)
      await varve.varve('rm', 'imported:1')
    } finally {
      registry.close()
    }
  },

  /**
   * 16 images with a common base that was pulled before; one image 16 times into one namespace; one image into each of 16
   * namespaces. Within a namespace, containerd's pulls wait for each other's blobs.
   */
  async '16 pulls at once: of one image and of many, in one namespace and in many'(stage) {
    const { containerd, varve, place } = stage
    const { ctr } = containerd
    const layout = join(place, 'layout')
    await writeSixteen(layout)
    const registry = await openRegistry(layout)
    const imageOf = (n: number | 'base') => `${registry.host}/small:${n}`
    const pull = (namespace: string, n: number | 'base') =>
      ctr('--namespace', namespace, 'images', 'pull', '--plain-http', imageOf(n))
    try {
      await pull('many', 'base')
      await Promise.all(SIXTEEN.map((n) => pull('many', n)))
      await ctr('--namespace', 'many', 'images', 'rm', imageOf('base'))
      await Promise.all(SIXTEEN.map(() => pull('one', 5)))
      await Promise.all(SIXTEEN.map((n) => pull(`n${n}`, n)))
      const wanted: readonly Pulled[] = [
        { namespace: 'many', images: SIXTEEN, layers: 3 + 16 },
        { namespace: 'one', images: [5], layers: 4 },
        ...SIXTEEN.map((n) => ({ namespace: `n${n}`, images: [n], layers: 4 })),
      ]
      for (const each of wanted) await isThere(stage, each)
      await collectGarbage(containerd)
      assert.deepEqual(await varve.json('check'), [])
      for (const { namespace, images } of wanted)
        await ctr('--namespace', namespace, 'images', 'rm', '--sync', ...images.map(imageOf))
    } finally {
      registry.close()
    }
  },
}

/** `base`, and 16 images with one more layer each. */
async function writeSixteen(layout: string): Promise<void> {
  const file = (name: string, content: string): CodeEntry => ({ header: { name }, content })
  const shared = await Promise.all([
    tarOf([{ header: { name: 'd/' } }, ...SIXTEEN.map((n) => file(`d/${n}`, `${n}\n`.repeat(1000)))]),
    tarOf([file('d/0', 'changed\n')]),
    tarOf([file('d/.wh.1', '')]),
  ])
  const own = await Promise.all(SIXTEEN.map((n) => tarOf([file('own', `image ${n}\n`)])))
  writeLayout(layout, [
    { tag: 'base', layers: shared },
    ...own.map((layer, n) => ({ tag: `${n}`, layers: [...shared, layer] })),
  ])
}

interface Pulled {
  readonly namespace: string
  readonly images: readonly number[]
  /** Their number. */
  readonly layers: number
}

/** The namespace has each image complete, and nothing else. */
async function isThere({ containerd, place }: Stage, { namespace, images, layers }: Pulled): Promise<void> {
  await withClient(containerd.socket, { namespace }, async (client) => {
    const all = await client.list()
    assert.equal(all.length, layers, namespace)
    const tops = all.filter((each) => !all.some(({ parent }) => parent === each.name))
    const kept = SIXTEEN.filter((n) => n !== 1).map(String)
    const read: string[] = []
    for (const { name } of tops) {
      const text = await viewed({ client, place, name }, (path) => {
        assert.deepEqual(readdirSync(join(path, 'd')).sort(), [...kept].sort())
        assert.equal(readFileSync(join(path, 'd/0'), 'utf8'), 'changed\n')
        return readFileSync(join(path, 'own'), 'utf8')
      })
      read.push(text)
    }
    assert.deepEqual(read.sort(), images.map((n) => `image ${n}\n`).sort(), namespace)
  })
}
