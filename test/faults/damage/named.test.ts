/** Every named check finds its damage, and no repair removes anything that it can't explain. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { rebuild } from '../../../core/recover/rebuild.js'
import { drivers } from '../../../drivers/all.js'
import { checkoutDirectory } from '../../../fixtures/cache.js'
import { collect } from '../../support/collect.js'
import { countCases, isFull } from '../size.js'
import { contentsOf, lostFrom } from './contents.js'
import { DAMAGES, MARKS } from './damages.js'
import { NAMED, type Named } from './named.js'
import { CELLS, checked, onStage, type Stage } from './stage.js'

test('Every named check has a case with the damage that it must find', () => {
  const folder = join(checkoutDirectory(), 'core/check')
  const sources = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  const names = sources.flatMap((source) =>
    [...source.matchAll(/\bcheck: '([^']+)'/g)].map(([, name]) => name),
  )
  assert.ok(names.length > 10, 'the names are read from the sources')
  // No backend of this table activates layers: the device toy's cases plant that damage.
  const named = new Set([...NAMED.map(({ check }) => check), 'activation'])
  assert.deepEqual([...named].sort(), [...new Set(names)].sort())
})

for (const [number, cell] of CELLS.entries()) {
  const rows = NAMED.filter(
    ({ only }, row) =>
      (only ?? cell.driver) === cell.driver && (isFull || only || row % CELLS.length === number),
  )
  test(`${cell.driver}: every named check finds its damage; a repair removes nothing`, {
    skip: cell.skip,
  }, async (t) => {
    const wrong: string[] = []
    for (const row of rows) {
      await onStage(cell, (stage) => found(stage, expected(row, cell.driver))).catch((error: unknown) => {
        wrong.push(`${row.check}: ${row.title}: ${error instanceof Error ? error.message : error}`)
      })
    }
    assert.deepEqual(wrong, [])
    countCases(t, rows.length)
  })

  test(
    `${cell.driver}: a check with repairs removes nothing from a damaged layer`,
    { skip: cell.skip },
    (t) =>
      onStage(cell, async ({ store, root, archive, behind }) => {
        const all = [...DAMAGES, ...(MARKS[cell.driver] ?? [])]
        const damages = all.filter((_, each) => isFull || each % 9 === number)
        for (const { title, layer = 0, plant } of damages) {
          behind(layer, plant)
          const planted = contentsOf(root)
          const { words } = await checked(store, { data: true, repair: true })
          assert.notEqual(words, '', title)
          assert.deepEqual(lostFrom(planted, contentsOf(root)), [], title)
          assert.equal((await checked(store)).words, words, `${title}: reported as before`)
          await collect(store.repair({ from: archive }))
        }
        countCases(t, damages.length)
      }),
  )
}

/** What a check must find on this backend. */
function expected(row: Named, driver: string): Named {
  if (row.isBehind !== true || driver !== 'btrfs') return row
  const says = /layer-seal: .*was changed after it was sealed .*\[varve repair --from SOURCE \w+\]/
  const { needsData: _, ...rest } = row
  return { ...rest, check: 'layer-seal', says, others: ['layer-data', 'layer-marks'], left: 'layer-seal' }
}

async function found(stage: Stage, row: Named): Promise<void> {
  const { check, prepare, plant, says, others = [], left, rebuild: isRebuilt } = row
  const { store, root } = stage
  await prepare?.(stage)
  const goes = row.goes?.(stage)
  plant(stage)
  const planted = contentsOf(root)
  const quick = await checked(store, {})
  if (row.needsData !== true) assert.match(quick.words, says, 'a quick check')
  const { names, words } = await checked(store)
  if (row.isRemembered !== true) {
    assert.match(words, says)
    assertAmong(names, [check, ...others], words)
  }
  await checked(store, { data: true, repair: true })
  const lost = lostFrom(planted, contentsOf(root)).filter((path) => goes?.test(path) !== true)
  assert.deepEqual(lost, [], 'removed by the repair')
  const after = await checked(store)
  if (left === undefined) assert.equal(after.words, '', 'once repaired')
  else assertAmong(after.names, [left, ...others], after.words)
  if (isRebuilt !== true) return
  await store.close()
  await rebuild({ root, drivers })
  const { store: anew } = await stage.reopened()
  await checked(anew, { repair: true })
  assert.equal((await checked(anew)).words, '', 'made anew')
  assert.deepEqual(lostFrom(planted, contentsOf(root)), [], 'removed by the rebuild')
}

function assertAmong(
  names: readonly string[],
  [main = '', ...others]: readonly string[],
  words: string,
): void {
  assert.ok(names.includes(main), words)
  assert.deepEqual(
    names.filter((name) => name !== main && !others.includes(name)),
    [],
    words,
  )
}
