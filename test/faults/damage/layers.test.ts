/** Every kind of damage to a layer, on each backend: found, named, healed from the archive it came from, byte for byte. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collect } from '../../support/collect.js'
import { differences, snapshot } from '../../support/oracle.js'
import { countCases, isFull } from '../size.js'
import { DAMAGES, MARKS } from './damages.js'
import { CELLS, checked, onStage } from './stage.js'

for (const [number, cell] of CELLS.entries()) {
  test(`${cell.driver}: every damage is found, and healed byte for byte`, { skip: cell.skip }, (t) =>
    onStage(cell, async ({ store, archive, behind, directoryOf }) => {
      const sound = [0, 1, 2].map((layer) => treeOf(directoryOf(layer)))
      const all = [...DAMAGES, ...(MARKS[cell.driver] ?? [])]
      const damages = all.filter(
        (_, each) => isFull || each % CELLS.length === number || each >= DAMAGES.length - 1,
      )
      for (const { title, layer = 0, plant, says, quick } of damages) {
        behind(layer, plant)
        // A sealed subvolume that was changed is reported before it is read.
        const expected = new RegExp(cell.driver === 'btrfs' ? `layer-seal|${says.source}` : says.source)
        if (quick === true)
          assert.match((await checked(store, {})).words, expected, `${title}: a quick check`)
        const { words } = await checked(store)
        assert.match(words, expected, title)
        assert.match(words, /\[varve repair --from SOURCE [0-9a-f]{12}\]/, `${title}: the command`)
        const outcomes = await collect(store.repair({ from: archive }))
        assert.deepEqual(
          outcomes.filter(({ outcome }) => outcome === 'failed'),
          [],
          title,
        )
        assert.ok(
          outcomes.some(({ outcome }) => outcome === 'healed'),
          title,
        )
        assert.equal((await checked(store)).words, '', `${title}: healed`)
        for (const [each, tree] of sound.entries()) {
          assert.deepEqual(differences(tree, treeOf(directoryOf(each))), [], `${title}: layer ${each}`)
        }
      }
      countCases(t, damages.length)
    }),
  )
}

/** The tree without the times of whiteouts, which don't matter. */
function treeOf(directory: string): Map<string, string> {
  const tree = snapshot(directory)
  for (const [path, line] of tree) {
    if (/^char 0 0:0 .*device=0$/.test(line)) tree.set(path, line.replace(/ mtime=\d+/, ''))
  }
  return tree
}
