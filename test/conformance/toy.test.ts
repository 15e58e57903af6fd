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

const CHECKOUT = checkoutDirectory()
const TOY = 'test/conformance/toy'

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
    const places = ['', 'drivers', TOY]
    const lost = named.filter((name) => !places.some((place) => existsSync(join(CHECKOUT, place, name))))
    assert.deepEqual(lost, [])
  })

  it('names all that the toy is made of', () => {
    const offered = new Set(named.map((name) => basename(name)))
    const used = readdirSync(join(CHECKOUT, TOY)).flatMap((name) => {
      const text = readFileSync(join(CHECKOUT, TOY, name), 'utf8')
      return [...text.matchAll(/from '(\.\.[^']+)\.js'/g)].map(
        ([, path = '']) => `${normalize(join(TOY, path))}.ts`,
      )
    })
    assert.ok(used.length > 15)
    assert.deepEqual(
      [...new Set(used)].filter((path) => !path.startsWith('core/sys/') && !offered.has(basename(path))),
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
  for await (const { group, case: title, result, reason = '' } of runSuite(cell, {
    seed: SEED,
    scripts: 50,
  })) {
    count++
    await t.test(`${group}: ${title}`, (sub) => {
      if (result === 'failed') throw new Error(reason)
      if (result === 'impossible') {
        assert.match(reason, /quota|readonlySeal|sharing|active/)
        sub.skip(`impossible: ${reason}`)
      }
    })
  }
  assert.equal(count, selectCases().length)
})
