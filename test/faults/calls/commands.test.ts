/** The commands that varve starts (igzip, pigz, zstd) are missing, fail, print rubbish or hang. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isCode, VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { arm } from '../../../core/sys/seam.js'
import { drivers } from '../../../drivers/all.js'
import { writeSmallImage } from '../../../fixtures/small.js'

interface Stage {
  readonly store: Store
  readonly work: string
  readonly signal: AbortSignal
}

const OPERATIONS: readonly { readonly name: string; run(stage: Stage): Promise<unknown> }[] = [
  {
    name: 'import of gzip',
    run: ({ store, work, signal }) => store.importImage(join(work, 'small.tar.gz'), { signal }),
  },
  {
    name: 'import of zstd',
    run: ({ store, work, signal }) => store.importImage(join(work, 'small.tar.zst'), { signal }),
  },
  ...(['gzip', 'zstd'] as const).map((compress) => ({
    name: `export with ${compress}`,
    async run({ store, work, signal }: Stage) {
      await store.importImage(join(work, 'small.tar'))
      await store.exportImage('varve.test/small:1', join(work, 'out'), {
        compress,
        format: 'oci-archive',
        signal,
      })
    },
  })),
]

const BEHAVIOURS = ['missing', 'failing', 'rubbish', 'hanging'] as const
/** Milliseconds after which the test aborts a command that hangs. */
const GIVE_UP = 500

for (const { name, run } of OPERATIONS) {
  for (const behaviour of BEHAVIOURS) {
    test(`${name}: the command is ${behaviour}`, async (t) => {
      const work = mkdtempSync(join(tmpdir(), 'varve-commands-'))
      t.after(() => {
        arm(undefined)
        rmSync(work, { recursive: true, force: true })
      })
      await writeSmallImage(join(work, 'small.tar'))
      execFileSync('gzip', ['-k', join(work, 'small.tar')])
      execFileSync('zstd', ['-q', join(work, 'small.tar')])
      const store = await openStore({ root: join(work, 'root'), drivers, driver: 'vfs' })
      t.after(() => store.close())
      arm(`${behaviour}:exec:1`)
      const signal = behaviour === 'hanging' ? AbortSignal.timeout(GIVE_UP) : new AbortController().signal
      const failure = await failureOf(run({ store, work, signal }))
      arm(undefined)
      assert.ok(failure instanceof VarveError, `no clear error: ${failure}`)
      assert.equal(isCode(failure, 'CANCELLED'), behaviour === 'hanging', failure.message)
      assert.doesNotMatch(failure.message, /SysError|undefined|internal/)
      assert.deepEqual(childrenOf(process.pid), [], 'commands still run')
      assert.ok(!readdirSync(work).includes('out'), 'nothing half-made stays')
      assert.deepEqual(await findings(store), [])
      await run({ store, work, signal: new AbortController().signal })
      assert.deepEqual(await findings(store), [])
    })
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return 'it went well'
  } catch (error) {
    return error
  }
}

async function findings(store: Store): Promise<string[]> {
  const found: string[] = []
  for await (const { check, subject, message } of store.check({ data: true }))
    found.push(`${check} ${subject}: ${message}`)
  return found
}

/** Command lines of the children that are not zombies. */
function childrenOf(pid: number): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((child) => {
      try {
        const stat = readFileSync(`/proc/${child}/stat`, 'latin1')
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        return Number(parent) === pid && state !== 'Z' ? [readlinkSync(`/proc/${child}/exe`)] : []
      } catch {
        return [] // it has ended
      }
    })
}
