/**
 * Every system call of an operation fails with every errno that the kernel has for it, transfers fewer bytes than requested,
 * or is the last one before a kill. Each backend has its own test file, so that they run in parallel.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFileSystem, whyNoFileSystem } from '../../support/file-system.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { countCases, sized } from '../size.js'
import { OPERATIONS } from './operations.js'
import { sweep, sweepKills } from './sweep.js'

/** Primes, so that a sweep does not always hit the same call of every file. */
const EVERY = 67
const EVERY_KILL = 23

interface Place {
  readonly path: string
  close(): void
}

const PLACES: Readonly<Record<string, { readonly skip: string | false; open(): Place }>> = {
  overlay: { skip: NEEDS_ROOT, open: plainDirectory },
  vfs: { skip: false, open: plainDirectory },
  btrfs: { skip: whyNoFileSystem('btrfs') ?? false, open: () => openFileSystem('btrfs', { size: '1G' }) },
}

export function testErrors(driver: keyof typeof PLACES): void {
  const { skip, open } = PLACES[driver] ?? assertNever(driver)
  const swept = (title: string, work: (directory: string) => Promise<number>) => {
    test(`${driver}: ${title}`, { skip }, async (t) => {
      const { path, close } = open()
      let failure: unknown
      try {
        countCases(t, await work(mkdtempSync(join(path, 'sweep-'))))
      } catch (error) {
        failure = error
      }
      try {
        close()
      } catch (error) {
        failure ??= error // the first error says more
      }
      if (failure !== undefined) throw failure
    })
  }
  for (const operation of OPERATIONS) {
    swept(`${operation.name}: any call may fail`, (directory) =>
      sweep(operation, { driver, directory, every: sized(EVERY, 1) }),
    )
    if (!operation.isReading)
      swept(`${operation.name}: the process may die at any call`, (directory) =>
        sweepKills(operation, { driver, directory, every: sized(EVERY_KILL, 1) }),
      )
  }
}

function assertNever(driver: string): never {
  throw new Error(`no place for ${driver}`)
}

function plainDirectory(): Place {
  const path = mkdtempSync(join(tmpdir(), 'varve-calls-'))
  return { path, close: () => rmSync(path, { recursive: true, force: true }) }
}
