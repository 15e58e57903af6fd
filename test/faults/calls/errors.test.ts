/** Every call that an operation makes fails in every way that the kernel has for it, or moves less than it was asked to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFileSystem, whyNoFileSystem } from '../../file-system.js'
import { NEEDS_ROOT } from '../../needs-root.js'
import { countCases, sized } from '../size.js'
import { OPERATIONS } from './operations.js'
import { sweep } from './sweep.js'

const FAULTS = ['EIO', 'ENOSPC', 'short', 'EMFILE', 'ENOMEM', 'EDQUOT', 'EINTR'] as const
/** A prime, so that the sweep does not meet the same call of every file. */
const EVERY = 17

const BACKENDS = [
  { driver: 'overlay', skip: NEEDS_ROOT, place: plainDirectory },
  { driver: 'vfs', skip: false, place: plainDirectory },
  {
    driver: 'btrfs',
    skip: whyNoFileSystem('btrfs') ?? false,
    place: () => openFileSystem('btrfs', { size: '1G' }),
  },
] as const

for (const { driver, skip, place } of BACKENDS) {
  for (const operation of OPERATIONS) {
    test(`${driver}: ${operation.name}: any call may fail`, { skip }, async (t) => {
      const { path, close } = place()
      try {
        const directory = mkdtempSync(join(path, 'sweep-'))
        const every = sized({ every: EVERY }, {})
        countCases(t, await sweep(operation, { driver, directory, faults: FAULTS, ...every }))
      } finally {
        close()
      }
    })
  }
}

function plainDirectory(): { readonly path: string; close(): void } {
  const path = mkdtempSync(join(tmpdir(), 'varve-calls-'))
  return { path, close: () => rmSync(path, { recursive: true, force: true }) }
}
