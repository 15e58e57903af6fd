/**
 * The toy driver follows "Write a driver" in drivers/README.md: it has the files that the section names, uses only the
 * helpers that it names, and passes the whole suite.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, normalize } from 'node:path'
import { describe, it, test } from 'node:test'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { SEED } from '../support/seed.js'
import { runSuite, selectCases } from './suite.js'
import { toy } from './toy/driver.js'
import { settleOutcome } from './toy-outcome.js'

const CHECKOUT = checkoutDirectory()
const TOY = 'test/conformance/toy'
const DEVICE_TOY = 'test/conformance/toy-device'

describe('what drivers/README.md says of a driver', () => {
  const readme = readFileSync(join(CHECKOUT, 'drivers/README.md'), 'utf8')
  const section = /^## Write a driver\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? ''
  const named = [...section.matchAll(/`([\w/.-]+\.ts)`/g)].map(([, name = '']) => name)

  it('is followed by the toy, file by file', () => {
    const steps = [...section.matchAll(/^\d+\. `([\w-]+\.ts)`/gm)].map(([, name = '']) => name)
    assert.deepEqual(steps.sort(), readdirSync(join(CHECKOUT, TOY)).sort())
    assert.ok(steps.length >= 3)
  })

  it('names only what is there', () => {
    const places = ['', 'drivers', 'drivers/overlayfs', TOY]
    const lost = named.filter((name) => !places.some((place) => existsSync(join(CHECKOUT, place, name))))
    assert.deepEqual(lost, [])
  })

  it('names all that the toys are made of', () => {
    const offered = new Set(named.map((name) => basename(name)))
    const sources = sourcesOfKit()
    const used = [TOY, DEVICE_TOY].flatMap((toy) =>
      readdirSync(join(CHECKOUT, toy)).flatMap((name) =>
        namesIn(
          readFileSync(join(CHECKOUT, toy, name), 'utf8'),
          /import (?:type )?\{([^}]*)\} from '[^']*\/kit\.js'/g,
        ),
      ),
    )
    const files = new Set(used.map(([name]) => sources.get(name) ?? 'core/driver.ts'))
    assert.ok(files.size > 15)
    assert.deepEqual(
      [...files].filter((path) => !path.startsWith('core/sys/') && !offered.has(basename(path))),
      [],
    )
  })

  it('shows the file of a cell as it is', () => {
    const [, shown] = /```ts\n([\s\S]*?)```/.exec(section) ?? []
    const [, name] = /`(test\/conformance\/cells\/[\w-]+\.test\.ts)`/.exec(section) ?? []
    assert.ok(name !== undefined)
    assert.equal(shown?.replace(/^ {3}/gm, ''), readFileSync(join(CHECKOUT, name), 'utf8'))
  })
})

test('the toy driver passes the suite', { skip: process.getuid?.() !== 0 && 'needs root' }, async (t) => {
  const root = mkdtempSync(join(realpathSync(tmpdir()), 'varve-toy-'))
  t.after(() => rmSync(root, { recursive: true }))
  const cell = { name: 'toy', module: toy, options: {}, root }
  let count = 0
  for await (const outcome of runSuite(cell, { seed: SEED, scripts: 50 })) {
    count++
    await t.test(`${outcome.group}: ${outcome.case}`, (sub) =>
      settleOutcome(sub, outcome, /quota|readonlySeal|sharing|active/),
    )
  }
  assert.equal(count, selectCases().length)
})

/** The file that each name of the driver kit comes from, but for the contract's types. */
function sourcesOfKit(): ReadonlyMap<string, string> {
  const kit = readFileSync(join(CHECKOUT, 'drivers/kit.ts'), 'utf8')
  const names = namesIn(kit, /export (?:type )?\{([^}]*)\} from '([^']+)\.js'/g)
  return new Map(names.map(([name, path]) => [name, `${normalize(join('drivers', path))}.ts`]))
}

/** The names between braces, and what else the pattern finds. */
function namesIn(text: string, pattern: RegExp): readonly (readonly [name: string, rest: string])[] {
  return [...text.matchAll(pattern)].flatMap(([, names = '', rest = '']) =>
    names
      .split(',')
      .map((name) => name.replace(/^\s*type /, '').trim())
      .filter(Boolean)
      .map((name) => [name, rest] as const),
  )
}
