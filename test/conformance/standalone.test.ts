/** The suite runs elsewhere with nothing but the compiled folder and varve's runtime packages. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { COMPILED, reachable } from '../support/reachable.js'

const PACKAGE = JSON.parse(readFileSync(join(checkoutDirectory(), 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
}

describe('the suite by itself', () => {
  const { files, packages } = reachable(join(COMPILED, 'test/conformance/main.js'))
  const away = mkdtempSync(join(tmpdir(), 'varve-away-'))
  after(() => rmSync(away, { recursive: true }))

  it('loads nothing of ours but core, drivers and the tests’ own helpers without packages', () => {
    const odd = files.filter(
      (file) => !/^(core|drivers|test\/conformance|test\/support\/[\w-]+\.js$)/.test(file),
    )
    assert.deepEqual(odd, [])
  })

  it('loads no package but those that varve needs to run', () => {
    assert.ok(packages.includes('koffi') && packages.includes('better-sqlite3'), packages.join(' '))
    assert.deepEqual(
      packages.filter((name) => !(name in PACKAGE.dependencies)),
      [],
    )
  })

  it('runs in a folder of its own without a network', {
    skip: process.getuid?.() !== 0 && 'needs root',
  }, () => {
    for (const folder of ['core', 'drivers'])
      cpSync(join(COMPILED, folder), join(away, 'dist', folder), { recursive: true })
    for (const file of files) cpSync(join(COMPILED, file), join(away, 'dist', file))
    cpSync(join(checkoutDirectory(), 'package.json'), join(away, 'package.json'))
    for (const path of runtimePackages()) {
      cpSync(join(checkoutDirectory(), path), join(away, path), { recursive: true })
    }
    mkdirSync(join(away, 'data'))
    const main = join(away, 'dist/test/conformance/main.js')
    const args = ['--net', process.execPath, main, '--driver', 'vfs', '--root', join(away, 'data')]
    const lines = execFileSync('unshare', [...args, '--only', 'driver: an empty layer'], {
      cwd: '/',
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const outcomes = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly result: string })
    assert.deepEqual(
      outcomes.map(({ result }) => result),
      ['passed'],
    )
  })
})

/** Relative paths of the installed runtime packages, with their dependencies. */
function runtimePackages(): readonly string[] {
  const root = checkoutDirectory()
  const lock = JSON.parse(readFileSync(join(root, 'node_modules/.package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly optional?: boolean }>>
  }
  return Object.entries(lock.packages).flatMap(([path, { dev }]) => (dev ? [] : [path]))
}
