import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { checkoutDirectory } from '../../../fixtures/cache.js'

/** Code that runs in libuv's pool, outside any jail, or that looks for a file in the jailed root. */
const OUTSIDE = [
  /from 'node:fs\/promises'/,
  /\bpromises\b.*from 'node:fs'/,
  /\bfs\.promises\b/,
  /\bcreate(Read|Write)Stream\b/,
  /from '.*\/sys\/(pool|exec|filter)\.js'/,
  /[^\w.]import\(/,
]

test('code that may run in a jail makes no asynchronous file call, runs no command and imports nothing late', () => {
  const root = checkoutDirectory()
  const jailers = sources(root).filter(
    (file) => /\benterJail\(/.test(read(file)) && !file.endsWith('sys/jail.ts'),
  )
  assert.notEqual(jailers.length, 0)
  const reached = new Set(jailers)
  // The set grows during the loop: all that the jailers import, directly or not.
  for (const file of reached) for (const imported of imports(file)) reached.add(imported)
  assert.equal(reached.has(join(root, 'core/sys/files.ts')), true)
  const broken = [...reached].flatMap((file) =>
    OUTSIDE.filter((pattern) => pattern.test(read(file))).map((pattern) => `${file}: ${pattern}`),
  )
  assert.deepEqual(broken, [])
})

function sources(root: string): string[] {
  return ['core', 'drivers', 'cli']
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(root, folder, name)),
    )
}

/** Our files that `file` imports, except for types and for what only prepares the jail. */
function imports(file: string): string[] {
  const found = read(file).matchAll(/^import (?!type )[^']*'(\.{1,2}\/[^']*)\.js'/gm)
  return [...found]
    .map(([, path = '']) => join(dirname(file), `${path}.ts`))
    .filter((path) => !path.endsWith('core/sys/jail.ts') && existsSync(path))
}

function read(file: string): string {
  return readFileSync(file, 'utf8')
}
