/** More directories than an extraction keeps the times of in memory: the others are in a file of the scratch directory. */
import assert from 'node:assert/strict'
import { lstatSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { bench, extractTar, namesIn, type Spec, tarOf } from '../tree/support.js'

const MANY = 4000

const directories: readonly Spec[] = Array.from({ length: MANY }, (_, at) => ({
  path: nameOf(at),
  type: 'directory',
  mode: 0o755,
  mtime: { sec: 1000 + at, nsec: at },
}))

/** No two share a beginning, so that each takes its whole length to remember. */
function nameOf(at: number): string {
  return `${at}-${'x'.repeat(200)}`
}

async function leavesNothing(t: TestContext, tar: Buffer, wanted: 'done' | 'refused'): Promise<void> {
  const stage = bench(t)
  await extractTar(bench(t), tarOf([{ path: 'first', content: 'loads what stays' }]))
  const descriptors = openDescriptors()
  const work = extractTar(stage, tar)
  if (wanted === 'done') {
    await work
    for (const at of [0, 1, MANY / 2, MANY - 1]) {
      const { mtimeMs } = lstatSync(`${stage.upper}/${nameOf(at)}`)
      assert.equal(Math.floor(mtimeMs / 1000), 1000 + at)
    }
  } else await assert.rejects(work, { code: 'INVALID_ARGUMENT' })
  assert.deepEqual(namesIn(stage.scratch), [])
  await assertNoneLeft(descriptors)
}

test('their times are set, and nothing is left open or aside', (t) =>
  leavesNothing(t, tarOf(directories), 'done'))

test('nothing is left of them either where a later entry is refused', (t) =>
  leavesNothing(t, tarOf([...directories, { path: '../out', content: 'x' }]), 'refused'))
