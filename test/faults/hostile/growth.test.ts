/**
 * Twice as many of anything in a layer tar take twice the time, and bounded memory: to import, read and export it. CPU times
 * are compared, so that a busy machine does no harm.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { sized } from '../size.js'
import { GROWTH_CASES } from './growth-cases.js'

const CHILD = fileURLToPath(new URL('./growth-child.js', import.meta.url))
/** Linear growth gives 2 or less, because of constant costs; quadratic growth gives 4. */
const MOST = 3
/** Memory of the child, which also builds the tars and holds them: about 40 MB for the largest. */
const MEMORY = 240 << 20
const TRIES = 3

describe('Growth: twice as much takes twice the time, in bounded memory.', { skip: NEEDS_ROOT }, () => {
  for (const { title } of GROWTH_CASES) {
    it(title, async () => {
      let told = ''
      for (let tries = 0; tries < TRIES; tries++) {
        const { seconds, rss } = await measure(title)
        assert.ok(rss < MEMORY, `${rss >> 20} MiB`)
        const [one = 0, two = 0] = seconds
        told = `${one} s, and ${two} s for twice of it`
        if (two < one * MOST) return
      }
      assert.fail(told)
    })
  }
})

async function measure(
  title: string,
): Promise<{ readonly seconds: readonly number[]; readonly rss: number }> {
  const place = mkdtempSync(join(tmpdir(), 'varve-growth-'))
  try {
    const words = [CHILD, title, place, 'overlay', sized('1', '4')]
    const { stdout } = await promisify(execFile)(process.execPath, words)
    return JSON.parse(stdout) as { seconds: readonly number[]; rss: number }
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}
