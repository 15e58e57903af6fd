/**
 * No list from outside becomes the arguments of a call: the engine puts them on its stack, which some hundred thousand
 * overflow (`push(...list)`, `Math.max(...list)`). A reader of the sources can't tell where a list is from, so there is no
 * such call at all but those below.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const PROJECT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FOLDERS = ['core', 'drivers', 'cli']
/** A call with a spread that is neither in an object nor in an array of its own: `f(a, ...list)`. */
const SPREAD_CALL = /\w\((?:[^()[\]{}]|\([^()]*\))*\.\.\.[^)]/
/** Of fixed length: the arguments of a call that is passed on, two stats. */
const FIXED = [
  /^core\/sys\/libc\.ts: .*\.\.\.rest/,
  /^core\/guarded\.ts: .*\.\.\.args/,
  /^drivers\/overlay\/changes\.ts: .*\.\.\.rootStats/,
  /^core\/formats\/oci-source\.ts: .*flatten/,
]

test('no call spreads a list into its arguments', () => {
  const found = FOLDERS.flatMap((folder) => sources(folder)).flatMap((file) =>
    readFileSync(join(PROJECT, file), 'utf8')
      .split('\n')
      .map((line) => line.replace(/\/\/.*|^\s*\*.*/, '').replace(/\([^()]*\) =>/g, ''))
      .filter((line) => SPREAD_CALL.test(line) && !/^\s*(async )?[*\w]+\(.*\{$|function|=> number/.test(line))
      .map((line) => `${file}: ${line.trim()}`),
  )
  assert.deepEqual(
    found.filter((each) => !FIXED.some((allowed) => allowed.test(each))),
    [],
  )
})

function sources(folder: string): readonly string[] {
  const names = readdirSync(join(PROJECT, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`)
}
