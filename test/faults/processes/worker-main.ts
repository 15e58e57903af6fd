/**
 * A process of the suite: random operations on a store that many processes use. Arguments: root, driver, journal, prefix,
 * seed, count.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openStore, type Store, VarveError } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { type Operation, say } from './journal.js'
import { apply, choose, emptyModel, type Model } from './model.js'
import { randomOf } from './random.js'

const [root = '', driver = '', journal = '', prefix = '', seed = '0', count = '0'] = process.argv.slice(2)

/** Operations that may be refused, because other processes do the same. */
const LAWFUL: Readonly<Record<string, readonly string[]>> = { share: ['ALREADY_EXISTS'] }

const store = await openStore({ root, drivers, driver })
try {
  await work(store)
} finally {
  await store.close()
}

async function work(store: Store): Promise<void> {
  const { pick } = randomOf(Number(seed))
  const model = emptyModel()
  for (let n = 0; n < Number(count); n++) {
    const operation = choose(model, `${prefix}-${n}`, pick)
    say(journal, { begun: operation })
    try {
      say(journal, { done: await perform(store, model, operation) })
      apply(model, operation)
    } catch (error) {
      const code = error instanceof VarveError ? error.code : 'none'
      const isLawful = LAWFUL[operation.kind]?.includes(code) === true
      say(
        journal,
        isLawful ? { refused: code } : { wrong: error instanceof Error ? `${error.stack}` : String(error) },
      )
    }
  }
}

async function perform(store: Store, model: Model, { kind, id, parent, file }: Operation): Promise<string> {
  switch (kind) {
    case 'create':
      return (await store.create({ id, ...(parent !== undefined && { parent }) })).id
    case 'share':
      return (await store.create({ id })).id
    case 'write': {
      const { path } = await store.mount(id)
      writeFileSync(join(path, file ?? ''), file ?? '')
      await store.unmount(id)
      return path
    }
    case 'commit':
      return (await store.commit(id)).layer.id
    case 'remove':
      return (await store.remove(id)).join()
    case 'read': {
      for (const each of model.layers.get(id)?.files ?? []) {
        const text = await textOf(store.read(id, `/${each}`))
        if (text !== each) throw new Error(`${each} of ${id} holds ${JSON.stringify(text)}`)
      }
      return id
    }
    case 'export': {
      const hash = createHash('sha256')
      for await (const chunk of store.exportLayer(id)) hash.update(chunk)
      const digest = `sha256:${hash.digest('hex')}`
      if (digest !== store.layer(id).diffId) throw new Error(`${id} leaves as ${digest}`)
      return digest
    }
    case 'import':
      return (await store.importLayer(join(root, '..', `${id}.tar`))).id
    case 'list': {
      const names = new Set(store.layers().flatMap((layer) => layer.names))
      const missing = [...model.layers.keys()].filter((each) => !names.has(each))
      if (missing.length > 0) throw new Error(`not listed: ${missing}`)
      return String(names.size)
    }
  }
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all).toString()
}
