/**
 * No list from outside is spread into the arguments of a call (`push(...list)`, `Math.max(...list)`): they go onto the
 * stack, which overflows at a few hundred thousand. The sources don't show where a list comes from, so there is no such call
 * at all.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FOLDERS = ['core', 'drivers', 'cli']
/** Matches calls with any number of arguments: `push(a, ...list)`, but not a spread within an array or object literal. */
const SPREAD_CALL =
  /\b(?:push|unshift|splice|concat|max|min|of|fromCharCode|fromCodePoint)\((?:[^()[\]{}]|\([^()]*\))*\.\.\./

test('no call spreads a list into its arguments', () => {
  const found = FOLDERS.flatMap((folder) => sources(folder)).flatMap((file) =>
    readFileSync(join(PROJECT, file), 'utf8')
      .split('\n')
      .filter((line) => SPREAD_CALL.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  )
  assert.deepEqual(found, [])
})

function sources(folder: string): readonly string[] {
  const names = readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
}
