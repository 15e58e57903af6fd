/**
 * No list from outside becomes the arguments of a call: the engine puts them on its stack, which some hundred thousand
 * overflow (`push(...list)`, `Math.max(...list)`). A reader of the sources can't tell where a list is from, so there is no
 * such call at all.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FOLDERS = ['core', 'drivers', 'cli']
/** Of calls that take any number: `push(a, ...list)`, not what is in an array or an object of its own. */
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
