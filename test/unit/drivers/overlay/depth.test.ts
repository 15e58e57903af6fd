import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { describe, it } from 'node:test'
import type { LayerId } from '../../../../core/ids.js'
import { takesLowersSingly } from '../../../../core/sys/mount/tree.js'
import { overlay } from '../../../../drivers/overlay/driver.js'
import { type Bench, withBench } from '../bench.js'

/** A chain of layers, the base first, each with a file of a different name. */
async function makeChain(
  bench: Bench,
  depth: number,
  idOf: (i: number) => string,
): Promise<readonly LayerId[]> {
  const chain: LayerId[] = []
  for (let i = 0; i < depth; i++) {
    const parent = chain.at(-1)
    const id = await bench.create({ id: idOf(i), ...(parent === undefined ? {} : { parent }) })
    // As an import would write it, without 500 worker threads.
    fs.writeFileSync(`${bench.home}/${id}/diff/file${i}`, `${i}`)
    fs.writeFileSync(`${bench.home}/${id}/diff/last`, `${i}`)
    chain.push(id)
  }
  return chain
}

async function readAll(bench: Bench, id: LayerId, depth: number, mode: 'ro' | 'rw'): Promise<void> {
  await bench.mounted(id, mode, (root) => {
    for (let i = 0; i < depth; i++) assert.equal(fs.readFileSync(`${root}/file${i}`, 'utf8'), `${i}`)
    assert.equal(fs.readFileSync(`${root}/last`, 'utf8'), `${depth - 1}`)
  })
}

const lowersSingly = {
  skip: takesLowersSingly() ? false : 'this kernel takes one page of mount data (before 6.7)',
}

describe('deep chains on overlay', () => {
  const short = (i: number) => `layer${String(i).padStart(3, '0')}`
  const long = (i: number) => String(i).padStart(64, 'a')

  for (const depth of [128, 300, 499]) {
    it(`reads and writes through ${depth} layers of short ids`, depth > 300 ? lowersSingly : {}, () =>
      withBench(overlay, {}, async (bench) => {
        const top = (await makeChain(bench, depth, short)).at(-1)
        assert.ok(top !== undefined)
        await readAll(bench, top, depth, 'ro')
        const child = await bench.create({ parent: top, writable: true })
        await readAll(bench, child, depth, 'rw')
        await bench.mounted(child, 'rw', (root) => fs.appendFileSync(`${root}/file0`, ' and more'))
        assert.deepEqual(await bench.changes(child), [{ path: 'file0', kind: 'modify' }])
      }),
    )
  }

  it('reads through 300 layers whose ids have 64 characters', lowersSingly, () =>
    withBench(overlay, {}, async (bench) => {
      const top = (await makeChain(bench, 300, long)).at(-1)
      assert.ok(top !== undefined)
      await readAll(bench, top, 300, 'ro')
    }),
  )

  it('refuses a layer that would be too deep to mount, and leaves nothing of it', lowersSingly, () =>
    withBench(overlay, {}, async (bench) => {
      const top = (await makeChain(bench, 500, short)).at(-1)
      assert.ok(top !== undefined)
      await readAll(bench, top, 500, 'ro')
      for (const writable of [true, false]) {
        await assert.rejects(bench.create({ id: 'beyond', parent: top, writable }), {
          code: 'FAILED_PRECONDITION',
          message: /500/,
        })
      }
      assert.equal((await bench.driver.list()).length, 500)
      assert.deepEqual(
        fs.readdirSync(bench.home).filter((name) => name.startsWith('.varve~')),
        [],
      )
    }),
  )

  it('works in a home whose path is long and full of characters that mount options use', () =>
    withBench(
      overlay,
      {},
      async (bench) => {
        const chain = await makeChain(bench, 5, short)
        const top = chain.at(-1)
        assert.ok(top !== undefined)
        await readAll(bench, top, 5, 'ro')
        const child = await bench.written(top, (root) => fs.rmSync(`${root}/file0`))
        assert.deepEqual(
          (await bench.changes(child)).filter(({ kind }) => kind === 'delete'),
          [{ path: 'file0', kind: 'delete' }],
        )
      },
      { homeName: `a:b,c\\d=e f/${'long'.repeat(60)}/home` },
    ))
})
