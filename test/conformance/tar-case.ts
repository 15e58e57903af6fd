/** A case as data: a tar that is applied to a layer, the tree that results, and the diff. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import type { Applied } from '../../core/driver.js'
import { type Snapshot, snapshot } from '../support/oracle.js'
import { END } from '../support/tar-bytes.js'
import { seconds } from './edit-case.js'
import { checkLayer, treeOf } from './layer-check.js'
import { tarOf } from './layer-tar.js'
import { readTar } from './read-tar.js'
import type { Case } from './suite.js'
import { directory, file, symlink, type Tree } from './trees.js'

export interface TarRow {
  readonly title: string
  /** Without the end marker. */
  readonly entries: readonly Buffer[]
  /** Paths of the merged view, in order, separated by spaces. */
  readonly tree: string
  /** Names of the layer's own diff, in order; `name = target` for a hard link. */
  readonly diff: string
  /** Further assertions. */
  readonly look?: (seen: {
    readonly tree: Snapshot
    readonly applied: Applied
    readonly diff: Buffer
  }) => void
}

const OLD = { mtime: seconds(1000) }

/** The layer below the tar of every row. */
export const LOWER: Tree = {
  '': directory(OLD),
  abs: symlink('/d/sub', OLD),
  d: directory({ ...OLD, mode: 0o750, uid: 1 }),
  'd/one': file('one', OLD),
  'd/sub': directory(OLD),
  'd/sub/deep': file('deep', OLD),
  'd/two': file('two', OLD),
  f: file('f', OLD),
  link: symlink('d', OLD),
}

/** Checks the row's tree and diff, {@link checkLayer}, and that the store exports the same bytes that it imported. */
export function tarCase({ title, entries, tree, diff, look }: TarRow): Case {
  const tar = Buffer.concat([...entries, END])
  return {
    group: 'tar',
    title,
    async run(world) {
      await world.withDriver(async (bench) => {
        const parent = await bench.applied(undefined, tarOf(LOWER))
        const before = await treeOf(bench, parent)
        const child = await bench.create({ parent })
        const applied = await bench.apply(child, [tar])
        for (const { file } of applied.replaced) rmSync(file)
        await bench.driver.seal(child)
        const found = await checkLayer(bench, { parent, before, child })
        assert.equal(pathsOf(found.tree), tree, 'the merged view')
        const names = readTar(found.diff).map(({ path, type, linkname }) =>
          type === '1' ? `${path} = ${linkname}` : path,
        )
        assert.equal(names.join(' '), diff, 'the entries of its diff')
        look?.({ tree: found.tree, applied, diff: found.diff })
        assert.deepEqual(await treeOf(bench, parent), before, 'the layer below is as it was')
      })
      await world.withStore(async (bench) => {
        const { store } = bench
        const base = await store.importLayer(bench.file(tarOf(LOWER)))
        const layer = await store.importLayer(bench.file(tar), { parent: base.id })
        assert.equal(layer.diffId, `sha256:${createHash('sha256').update(tar).digest('hex')}`)
        const chunks: Buffer[] = []
        for await (const chunk of store.exportLayer(layer.id)) chunks.push(Buffer.from(chunk))
        assert.ok(Buffer.concat(chunks).equals(tar), 'the store gives the same bytes back')
        assert.equal(await bench.mounted(layer.id, (path) => pathsOf(snapshot(path))), tree)
      })
    },
  }
}

/** The paths as a row has them; no row has a name with a space. */
function pathsOf(tree: Snapshot): string {
  return [...tree.keys()]
    .filter((path) => path !== '')
    .sort()
    .join(' ')
}
