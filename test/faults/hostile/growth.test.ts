/**
 * Twice as many of anything in a layer tar take twice the time, and a bounded memory: to bring it in, to look into it and to
 * give it back. The processor's time is compared, so that a busy machine does no harm.
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
/** Linear is 2 and less, what is constant being in both; quadratic is 4. */
const MOST = 3
/** Of the child, which makes the tars too and holds them whole: some 40 MB of the largest. */
const MEMORY = 240 << 20
const TRIES = 3

describe('Growth: twice of it takes twice the time, in bounded memory.', { skip: NEEDS_ROOT }, () => {
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
