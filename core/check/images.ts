/** Images: the config is what its digest says, and its layers are the ones it names. */
import { createHash } from 'node:crypto'
import type { ImageRow } from '../db/images.js'
import { messageOf } from '../errors.js'
import { parseConfig } from '../formats/read/config.js'
import { digestOf } from '../ids.js'
import { type CheckContext, type Problem, REBUILD } from './problem.js'

export function* checkImages(context: CheckContext): Generator<Problem, void> {
  for (const image of context.db.images.all()) {
    const name = context.db.references.byImage(image.key)[0] ?? image.digest
    for (const message of problemsOf(context, image)) {
      yield { check: 'image', subject: name, message, heal: REBUILD }
    }
  }
}

function* problemsOf({ db }: CheckContext, image: ImageRow): Generator<string, void> {
  const config = db.images.config(image.key)
  if (config === undefined) return
  const digest = digestOf(createHash('sha256').update(config).digest())
  if (digest !== image.digest) yield `its config has the digest ${digest}, not ${image.digest}`
  const nodes = db.images.layers(image.key)
  for (const [position, node] of nodes.entries()) {
    const parent = db.nodes.get(node)?.parent ?? undefined
    if (parent !== nodes[position - 1]) yield `layer ${position} is not on top of layer ${position - 1}`
  }
  let wanted: readonly string[]
  try {
    wanted = parseConfig(config, `config of ${image.digest}`).diffIds
  } catch (error) {
    yield `its config can't be read: ${messageOf(error)}`
    return
  }
  const actual = nodes.map((node) => db.layers.get(node)?.diffId)
  if (wanted.length !== actual.length) {
    yield `it has ${actual.length} layers, its config names ${wanted.length}`
    return
  }
  for (const [position, diffId] of wanted.entries()) {
    if (actual[position] !== diffId) {
      yield `layer ${position} has the diff id ${actual[position]}, its config names ${diffId}`
    }
  }
}
