import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from '../../../core/did-you-mean.js'
import { VarveError } from '../../../core/errors.js'
import { digest, inWorld, type World } from '../store/world.js'

const CONFIG = Buffer.from('{}')

/** base ← left, base ← right; `left` and `right` share a diff id; an image over each, and one over the base. */
async function populate({ commit, db, graph }: World) {
  const base = await commit(undefined, digest('aa11'))
  const left = await commit(base.node, digest('bb22'))
  const other = await commit(undefined, digest('cc33'))
  const right = await commit(other.node, digest('bb22'))
  // The base's diff id again, higher up.
  const again = await commit(left.node, digest('aa11'))
  const image = (hex: string, nodes: readonly number[], ...names: string[]) => {
    const key = db.images.insert({
      digest: digest(hex),
      config: CONFIG,
      platform: 'linux/amd64',
      created: undefined,
      nodes,
    })
    for (const name of names) db.references.set(name, key)
    return key
  }
  const web = image('d00d', [base.node, left.node], 'web:latest', 'example.org:5000/team/web:2')
  const near = image(
    'd00e',
    [other.node, right.node],
    'alpine:3.19',
    'localhost/tool:latest',
    'example.org/big:1',
    'cc33:latest',
    'localhost/sha256:cc33',
  )
  const active = await graph.prepare({ name: { space: 'id', name: 'work' }, parent: left.node })
  const engine = (space: 'id' | 'snapshot', name: string) => graph.prepare({ name: { space, name } })
  const snapshot = await engine('snapshot', 'default/7/shop')
  const run = await engine('snapshot', 'k8s.io/8/run 1')
  const docker = await engine('id', digest('abcd').slice(7))
  await engine('id', `${digest('abcd').slice(7)}-init`)
  const store = await engine('snapshot', `moby/9/${digest('ef').slice(7)}`)
  for (const more of ['8/%-init', '11/%-parent-view-1']) {
    await engine('snapshot', `moby/${more.replace('%', digest('ef').slice(7))}`)
  }
  return { base, left, other, right, again, web, near, active, snapshot, run, docker, store }
}

test('References name images and layers in all their forms.', () =>
  inWorld(async (world) => {
    const { db, resolver } = world
    const made = await populate(world)
    const layerOf = (node: number) => db.nodes.get(node)?.layer ?? ''
    const cases: readonly (readonly [
      reference: string,
      image: number | undefined,
      node: number | undefined,
    ])[] = [
      ['web', made.web, undefined],
      ['web:latest', made.web, undefined],
      ['docker.io/library/web', made.web, undefined],
      ['library/web:latest', made.web, undefined],
      ['example.org:5000/team/web:2', made.web, undefined],
      ['alpine:3.19', made.near, undefined],
      ['tool', made.near, undefined],
      [digest('d00d'), made.web, undefined],
      ['d00d', made.web, undefined],
      ['sha256:d00e', made.near, undefined],
      ['web#0', undefined, made.base.node],
      ['web:latest#1', undefined, made.left.node],
      ['d00e#1', undefined, made.right.node],
      [made.left.chainId, undefined, made.left.node],
      [made.left.chainId.slice(7, 19), undefined, made.left.node],
      [made.left.chainId.slice(0, 19).toUpperCase().replace('SHA256', 'sha256'), undefined, made.left.node],
      [digest('cc33'), undefined, made.other.node],
      // The full chain id, although another layer has the same content.
      [digest('aa11'), undefined, made.base.node],
      [digest('aa11').slice(7), undefined, made.base.node],
      // A name wins over a prefix of an id, and a full id over a name.
      ['cc33', made.near, undefined],
      ['sha256:cc33', undefined, made.other.node],
      [layerOf(made.again.node), undefined, made.again.node],
      ['work', undefined, made.active.id],
      // Layers of engines.
      ['default/7/shop', undefined, made.snapshot.id],
      ['default/7', undefined, made.snapshot.id],
      ['shop', undefined, made.snapshot.id],
      ['run 1', undefined, made.run.id],
      [digest('abcd').slice(7), undefined, made.docker.id],
      [digest('abcd').slice(7, 19), undefined, made.docker.id],
      // dockerd by way of containerd.
      [digest('ef').slice(7), undefined, made.store.id],
      [digest('ef').slice(7, 19), undefined, made.store.id],
    ]
    for (const [reference, image, node] of cases) {
      const target = resolver.target(reference)
      const found = target.kind === 'image' ? [target.image.key, undefined] : [undefined, target.node.id]
      assert.deepEqual(found, [image, node], reference)
      if (image !== undefined) assert.equal(resolver.image(reference).key, image)
      if (node !== undefined) assert.equal(resolver.layer(reference).id, node)
    }
    forgetImages(world)
  }))

test('An error about an unknown or ambiguous reference lists what may be meant.', () =>
  inWorld(async (world) => {
    const { resolver } = world
    await populate(world)
    const cases: readonly (readonly [
      what: 'image' | 'layer' | 'target',
      reference: string,
      code: string,
      words: RegExp,
    ])[] = [
      [
        'target',
        'd0',
        'INVALID_ARGUMENT',
        /ambiguous.*image sha256:d00d0+, image sha256:d00e0+; give more digits/,
      ],
      [
        'layer',
        digest('bb22'),
        'INVALID_ARGUMENT',
        /ambiguous.*layer \w{8} \(diff id sha256:bb22.*layer \w{8} \(diff id/,
      ],
      ['target', 'wev', 'NOT_FOUND', /no such image or layer: "wev"; did you mean "web"\?/],
      ['target', 'wrok', 'NOT_FOUND', /did you mean "work"\?/],
      [
        'target',
        'aa11',
        'INVALID_ARGUMENT',
        /"aa11" is ambiguous.*layer \w{8} \(.*layer \w{8} \(diff id.*give a whole chain id or a layer id/,
      ],
      ['image', 'alpine', 'NOT_FOUND', /no such image: "alpine"; did you mean "alpine:3\.19"\?$/],
      ['target', 'alpin', 'NOT_FOUND', /did you mean "alpine:3\.19"\?$/],
      ['image', 'docker.io/library/alpine', 'NOT_FOUND', /did you mean "alpine:3\.19"\?$/],
      ['image', 'tool:0.0.0-beta', 'NOT_FOUND', /did you mean "localhost\/tool"\?$/],
      ['target', 'example.org/big', 'NOT_FOUND', /did you mean "example\.org\/big:1"\?$/],
      ['image', 'work', 'NOT_FOUND', /no such image: "work"/],
      ['layer', 'web', 'NOT_FOUND', /no such layer: "web"/],
      ['target', 'web#2', 'NOT_FOUND', /layer 2 of image web:latest|it has layers 0 to 1/],
      ['target', 'nothing-like-it', 'NOT_FOUND', /"nothing-like-it"$/],
      ['target', 'a', 'NOT_FOUND', /no such/],
      ['target', '', 'INVALID_ARGUMENT', /the word is empty/],
    ]
    for (const [what, reference, code, words] of cases) {
      assert.throws(
        () => resolver[what](reference),
        (error) => error instanceof VarveError && error.code === code && words.test(error.message),
        `${what} ${reference}`,
      )
    }
    forgetImages(world)
  }))

test('The nearest word is at most a third away.', () => {
  const words = ['overlay', 'vfs', 'btrfs']
  const cases: readonly (readonly [word: string, near: string | undefined])[] = [
    ['overley', 'overlay'],
    ['OVERLAY2', 'overlay'],
    ['vsf', 'vfs'],
    ['vf', 'vfs'],
    ['brtfs', 'btrfs'],
    ['brtsf', undefined],
    ['btrf', 'btrfs'],
    ['', undefined],
    ['something', undefined],
  ]
  for (const [word, near] of cases) assert.equal(nearest(word, words), near, word)
  // A word without a common letter is never near.
  for (const word of ['', 'x']) assert.equal(nearest(word, ['c', 'ab']), undefined, word)
  assert.equal(nearest('l', ['c', 'ls']), 'ls')
})

/** Removes the images, whose configs are invalid: the check at the end would report them. */
function forgetImages({ db }: World): void {
  for (const { key } of db.images.all()) db.images.delete(key)
}
