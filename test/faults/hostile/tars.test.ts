/**
 * Hostile layer tars, on every backend and by every way in: the library and the command (as a bare layer, and in an image)
 * and the docker plug-in's ApplyDiff. After each, the files beside the store are unchanged. A refused tar leaves nothing; an
 * imported one is exported byte for byte.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Store } from '../../../core/api/store.js'
import { STATUS } from '../../../core/errors.js'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { SERVE_CELLS } from '../../serve/cells.js'
import { type DockerWorld, withDocker } from '../../serve/docker/world.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases, isFull } from '../size.js'
import { BASE, TAR_CASES, type TarCase } from './tar-cases.js'

/** Milliseconds for one of these small tars; whatever takes longer hangs. */
const PATIENCE = 120_000
/** Memory of a service that got all of them: the limit for one import (memory.test.ts). */
const MEMORY = 200 << 20
/** In `npm test` all cases are tried on the first backend, and every third on the others. */
const OTHERS = 3
/** Only every nth case goes these ways, since they end in the same code as the library's. */
const SOME: Readonly<Record<string, number>> = {
  importImage: 5,
  'varve import': 20,
  'varve import --layer': 19,
}

for (const [place, cell] of SERVE_CELLS.entries()) {
  describe(`Hostile tars: ${cell.driver}.`, { skip: cell.skip }, () => {
    it('each is refused, or extracted inside, by every way in', async (t) => {
      const wrong: string[] = []
      let tried = 0
      await withDocker(cell, async (world) => {
        const outside = sentinels(world.place)
        const before = look(outside)
        const store = await openStore({ root: world.varve.root, drivers, driver: cell.driver })
        try {
          const ways = await waysInto(world, store)
          for (const [number, hostile] of TAR_CASES.entries()) {
            if (!isFull && place > 0 && number % OTHERS !== place) continue
            const tar = hostile.tar(outside)
            const wanted = hostile.on?.[cell.driver] ?? hostile.outcome
            for (const [name, way] of ways) {
              // To an engine, which compares digests itself, an empty body is an empty layer.
              if (tar.length === 0 && name === 'ApplyDiff') continue
              if (!isFull && number % (SOME[name] ?? 1) !== 0) continue
              const started = performance.now()
              tried++
              const outcome = await way(hostile, tar)
              if (!outcome.split('|').some((code) => wanted.split('|').includes(code)))
                wrong.push(`${hostile.title}, by ${name}: ${outcome}, not ${wanted}`)
              assert.ok(
                performance.now() - started < PATIENCE,
                `${hostile.title}, by ${name}: takes too long`,
              )
              assert.deepEqual(look(outside), before, `${hostile.title}, by ${name}: changed files outside`)
            }
          }
          countCases(t, tried)
        } finally {
          await store.close()
        }
        const { peak } = world.service().memory()
        t.diagnostic(`the service took ${peak >> 20} MiB at most`)
        if (peak > MEMORY) wrong.push(`the service took ${peak >> 20} MiB`)
      })
      assert.deepEqual(wrong, [])
    })
  })
}

/** Imports a tar on the base, and removes it again. Resolves to `in`, or the error's code (or its possible codes). */
type Way = (hostile: TarCase, tar: Buffer) => Promise<string>

async function waysInto(
  { place, varve, client }: DockerWorld,
  store: Store,
): Promise<readonly (readonly [string, Way])[]> {
  const file = join(place, 'layer.tar')
  const baseFile = join(place, 'base.tar')
  writeFileSync(baseFile, BASE)
  const { chainId: parent } = await store.importLayer(baseFile)
  await client.done('Create', { ID: 'base', Parent: '' })
  assert.equal((await client.applyDiff('base', '', BASE)).status, 200)
  const layersBefore = store.layers().length

  const through = async (work: () => Promise<string | undefined>): Promise<string> => {
    const refusal = await work()
    if (refusal !== undefined) {
      assert.equal(store.layers().length, layersBefore, 'nothing of a refused layer is left')
      return refusal
    }
    for (const image of store.images()) await store.remove(image.id, { force: true })
    return 'in'
  }
  const library = ({ words }: TarCase, work: () => Promise<unknown>) =>
    through(async () => {
      try {
        await work()
        return undefined
      } catch (error) {
        const { code = String(error), message } = error as {
          readonly code?: string
          readonly message: string
        }
        return words === undefined || words.test(message) ? code : `${code} with another message: ${message}`
      }
    })
  const command = (...words: readonly string[]) =>
    through(async () => {
      const { status, stderr } = await varve.attempt(['-q', 'import', ...words])
      if (status === 0) return undefined
      return Object.entries(STATUS).find(([, { exit }]) => exit === status)?.[0] ?? `${status}: ${stderr}`
    })
  const image = (tar: Buffer): Buffer => tarOf(dockerContent([{ ...imageOf([BASE, tar]), tags: [] }]))
  const forget = async (id: string) => void (await store.remove(id, { force: true }))

  return [
    [
      'importLayer',
      async (hostile, tar) => {
        writeFileSync(file, tar)
        return library(hostile, async () => {
          const { id } = await store.importLayer(file, { parent })
          await comesBack(store, id, tar)
          await forget(id)
        })
      },
    ],
    [
      'importImage',
      async (hostile, tar) => {
        writeFileSync(file, image(tar))
        return library(hostile, () => store.importImage(file))
      },
    ],
    [
      'ApplyDiff',
      (_, tar) =>
        through(async () => {
          await client.done('Create', { ID: 'top', Parent: 'base' })
          const { status, body } = await client.applyDiff('top', 'base', tar)
          if (status === 200 && body.Err === undefined) {
            await client.diff('top', 'base')
            await client.done('Remove', { ID: 'top' })
            return undefined
          }
          await client.done('Remove', { ID: 'top' })
          return codeOf(status, String(body.Err))
        }),
    ],
    [
      'varve import',
      (_, tar) => {
        writeFileSync(file, image(tar))
        return command(file)
      },
    ],
    [
      'varve import --layer',
      async (_, tar) => {
        writeFileSync(file, tar)
        const outcome = await command('--layer', file, '--parent', parent)
        await store.prune()
        if (!store.layers().some((layer) => layer.chainId === parent)) await store.importLayer(baseFile)
        return outcome
      },
    ],
  ]
}

function codeOf(status: number, words: string): string {
  // A service reports a damaged tar as an invalid request too.
  if (status === STATUS.INVALID_ARGUMENT.http) return 'INVALID_ARGUMENT|CORRUPT'
  return Object.entries(STATUS).find(([, { http }]) => http === status)?.[0] ?? `${status}: ${words}`
}

/** Asserts that the export is the tar, and that everything that reads the layer ends. */
async function comesBack(store: Store, id: string, tar: Buffer): Promise<void> {
  const hash = createHash('sha256')
  for await (const chunk of store.exportLayer(id)) hash.update(chunk)
  assert.equal(
    hash.digest('hex'),
    createHash('sha256').update(tar).digest('hex'),
    'it comes back byte for byte',
  )
  for (const merged of [false, true]) for await (const _ of store.list(id, { recursive: true, merged }));
  for await (const _ of store.diff(undefined, id));
}

/** Creates the files beside the store that must not change. */
function sentinels(place: string): string {
  const outside = join(place, 'outside')
  mkdirSync(join(outside, 'inner'), { recursive: true })
  writeFileSync(join(outside, 'sentinel'), 'as it was', { mode: 0o640 })
  writeFileSync(join(outside, 'inner', 'file'), 'as it was')
  symlinkSync('sentinel', join(outside, 'link'))
  return outside
}

function look(outside: string): readonly string[] {
  const names = readdirSync(outside, { recursive: true, encoding: 'utf8' }).sort()
  return ['.', ...names].map((name) => {
    const stat = lstatSync(join(outside, name))
    const content = stat.isFile() ? readFileSync(join(outside, name), 'utf8') : ''
    return `${name} ${stat.mode.toString(8)} ${stat.uid} ${stat.nlink} ${stat.mtimeMs} ${content}`
  })
}
