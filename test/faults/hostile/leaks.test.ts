/**
 * Failures leave nothing behind: after many of each kind the process has no additional descriptors, threads or mounts, the
 * root has the same files, and memory has not grown.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Store } from '../../../core/api/store.js'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { SERVE_CELLS, type ServeCell } from '../../serve/cells.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { END, file, header, pax } from '../../support/tar-bytes.js'
import { countCases, sized } from '../size.js'

const TIMES = sized(10, 1000)
/** The first few load and start what then stays. */
const WARM = 3
const MORE_MEMORY = 96 << 20

const big = file('big', Buffer.alloc(3 << 20, 'x'))
const GOOD = Buffer.concat([header({ name: 'd/', type: '5', mode: 0o755 }), file('d/f', 'x'), big, END])

interface World {
  readonly store: Store
  /** A valid layer. */
  readonly layer: string
  /** Writes these bytes to a file. */
  source(tar: Buffer): string
}

interface Failure {
  readonly title: string
  fail(world: World): Promise<void>
}

/** A tar that is refused, once imported by the library and once applied as an engine does. */
function refused(title: string, tar: Buffer): readonly Failure[] {
  return [
    {
      title: `${title}, imported`,
      async fail({ store, source, layer }) {
        await assert.rejects(store.importLayer(source(tar), { parent: layer }))
      },
    },
    {
      title: `${title}, applied`,
      async fail({ store }) {
        await store.graphDriver.create('a', { parent: 'below' })
        await assert.rejects(store.graphDriver.apply('a', pieces(tar), { parent: 'below' }))
        await store.graphDriver.remove('a')
      },
    },
  ]
}

const FAILURES: readonly Failure[] = [
  ...refused("cut off in a whiteout's content", file('d/.wh.f', 'y'.repeat(100_000)).subarray(0, 50_000)),
  ...refused('cut off in a file', big.subarray(0, 1 << 20)),
  ...refused('a path that leads out, behind a file', Buffer.concat([big, file('../x', 'x'), END])),
  ...refused(
    'a replaced file, then a link to nothing',
    Buffer.concat([big, big, header({ name: 'h', type: '1', linkname: 'no' }), END]),
  ),
  ...refused('a header that is damaged', Buffer.concat([pax([['mtime', 'soon']]), big, END])),
  {
    title: 'another digest than announced',
    async fail({ store, source }) {
      const diffId = `sha256:${'0'.repeat(64)}` as never
      await assert.rejects(store.importLayer(source(GOOD), { diffId }), { code: 'CORRUPT' })
    },
  },
  {
    title: 'an aborted import',
    async fail({ store, source, layer }) {
      const stop = new AbortController()
      const work = store.importLayer(source(Buffer.concat([big, END])), {
        parent: layer,
        signal: stop.signal,
        progress: () => stop.abort(),
      })
      stop.abort()
      await assert.rejects(work, { code: 'CANCELLED' })
    },
  },
  {
    title: 'a source that fails',
    async fail({ store }) {
      await store.graphDriver.create('a', { parent: 'below' })
      await assert.rejects(
        store.graphDriver.apply('a', failing(GOOD), { parent: 'below' }),
        /the source is gone/,
      )
      await store.graphDriver.remove('a')
    },
  },
  {
    title: 'a diff and an export that are not read to the end',
    async fail({ store, layer }) {
      for await (const _ of store.exportLayer(layer)) break
      for await (const _ of store.diffTar(undefined, layer)) break
      for await (const _ of store.graphDriver.diff('below', undefined)) break
      for await (const _ of store.read(layer, 'big')) break
    },
  },
  {
    title: 'missing targets',
    async fail({ store, layer }) {
      await assert.rejects(store.importLayer('/no/such/file'))
      await assert.rejects(store.exportImage('no/such:image', '/tmp/x'))
      await assert.rejects(async () => {
        for await (const _ of store.read(layer, 'no/such/file'));
      })
      await assert.rejects(store.exportImage(layer, '/no/such/folder/x'))
    },
  },
]

for (const cell of SERVE_CELLS) {
  describe(`Failures leave nothing: ${cell.driver}.`, { skip: cell.skip }, () => {
    let root: string
    let world: World
    let end: () => Promise<void>

    before(async () => {
      const { place, leave } = await enter(cell)
      root = join(place, 'root')
      mkdirSync(root, { mode: 0o700 })
      const store = await openStore({ root, drivers, driver: cell.driver })
      const source = (tar: Buffer) => {
        writeFileSync(join(place, 'source'), tar)
        return join(place, 'source')
      }
      const { id } = await store.importLayer(source(GOOD))
      await store.graphDriver.create('below')
      await store.graphDriver.apply('below', pieces(GOOD))
      world = { store, source, layer: id }
      end = async () => {
        await store.close()
        await leave()
      }
    })
    after(() => end())

    for (const { title, fail } of FAILURES) {
      it(title, async (t) => {
        for (let times = 0; times < WARM; times++) await fail(world)
        const [descriptors, threads, mounts] = [openDescriptors(), count('task'), mountsInRoot()]
        const files = inRoot()
        const memory = process.memoryUsage.rss()
        for (let times = 0; times < TIMES; times++) await fail(world)
        await assertNoneLeft(descriptors)
        assert.deepEqual(inRoot(), files)
        assert.ok(count('task') <= threads + 2, `${count('task')} threads, and ${threads} before`)
        assert.equal(mountsInRoot(), mounts)
        const more = process.memoryUsage.rss() - memory
        assert.ok(more < MORE_MEMORY, `${more >> 20} MiB more`)
        countCases(t, TIMES)
      })
    }

    const mountsInRoot = () => readFileSync('/proc/self/mounts', 'utf8').split(root).length

    /** The files in the root, without those of the database, its backups and the locks. */
    function inRoot(): readonly string[] {
      const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
      return names.filter((name) => !/^(varve\.db|backup|locks\/backup|tmp\/.*\.db)/.test(name)).sort()
    }
  })
}

/** Enters a cell's directory, which exists until `leave` is called. */
async function enter(
  cell: ServeCell,
): Promise<{ readonly place: string; readonly leave: () => Promise<void> }> {
  let within: Promise<void> | undefined
  let finish = () => {}
  const place = await new Promise<string>((resolve, reject) => {
    within = cell.within((found) => {
      resolve(found)
      return new Promise<void>((done) => {
        finish = done
      })
    })
    within.catch(reject)
  })
  return {
    place,
    async leave() {
      finish()
      await within
    },
  }
}

function count(what: string): number {
  return readdirSync(`/proc/self/${what}`).length
}

async function* pieces(tar: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < tar.length; at += 65_536) yield tar.subarray(at, at + 65_536)
}

async function* failing(tar: Buffer): AsyncGenerator<Buffer> {
  yield tar.subarray(0, 70_000)
  throw new Error('the source is gone')
}
