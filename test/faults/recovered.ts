/** What must hold after any crash, checked by the file system and the commands, without core. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Varve } from '../support/varve.js'

export interface Layer {
  readonly id: string
  readonly kind: string
  readonly names: readonly string[]
}

/** Matches ids that the store makes up. */
const LAYER_NAME = /^[a-z][a-z0-9]{7}$/

/**
 * Opens the store (any command does). Asserts that `check --data` finds nothing, that no directory or link is named after an
 * unlisted layer, that nothing temporary is left, and that nothing is mounted. Resolves to the layers.
 */
export async function assertRecovered(varve: Varve): Promise<Layer[]> {
  const check = await varve.attempt(['check', '--data'])
  assert.equal(check.status, 0, `check: ${check.stdout}${check.stderr}`)
  const layers = await varve.json<Layer>('layers')
  assertNothingLeft(varve.root, layers)
  return layers
}

/** For a root that no process has open. */
export function assertNothingLeft(root: string, layers: readonly Pick<Layer, 'id'>[]): void {
  const known = new Set(layers.map(({ id }) => id))
  const orphans = layerDirectories(root).filter((path) => !known.has(path.slice(path.lastIndexOf('/') + 1)))
  assert.deepEqual(orphans, [], 'directories of no layer')
  assert.deepEqual(temporaries(root), [], 'temporary files')
  assert.deepEqual(mounts(root), [], 'mounts')
}

/** Directories with names like a layer's; does not look into the layers themselves. */
function layerDirectories(directory: string, depth = 3): string[] {
  if (depth === 0) return []
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name)
    if (!entry.isDirectory()) return []
    return LAYER_NAME.test(entry.name) ? [path] : layerDirectories(path, depth - 1)
  })
}

/** Everything in the store's folders for unfinished work. */
function temporaries(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /(^|\/)(\.varve~|(tmp|scratch|locks?)\/.)/.test(path.split('/').slice(0, 3).join('/')),
  )
}

export function mounts(root: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(root))
}
