import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { complete, type Sources } from '../../cli/complete.js'
import { SCRIPTS } from '../../cli/completion-scripts.js'
import { commands } from '../../cli/registry.js'
import type { Store } from '../../core/model.js'
import { image, layer } from './fake.js'

const roots: string[] = []
const store = {
  images: () => [image(1, ['debian:12', 'debian:latest'], ['l0', 'l1']), image(2, ['alpine:3'], ['l2'])],
  layers: () => [layer('l0'), layer('work', { kind: 'active' })],
  close: () => Promise.resolve(),
} as Partial<Store> as Store

const sources: Sources = {
  store(global) {
    roots.push(global.root)
    return Promise.resolve(store)
  },
  drivers: () => Promise.resolve(['overlay', 'vfs']),
}

test('each word is completed with what may stand there', async () => {
  const table: readonly (readonly [words: readonly string[], candidates: readonly string[]])[] = [
    [[''], commands.map((entry) => entry.name).sort()],
    [['di'], ['diff']],
    [['--js'], ['--json']],
    [
      ['--driver', ''],
      ['overlay', 'vfs'],
    ],
    [['--driver=o'], ['--driver=overlay']],
    [['--driver', 'vfs', 'tre'], ['tree']],
    [['--root', ''], [':files']],
    [['import', ''], [':files']],
    [['import', 'a.tar', ''], [':files']],
    [['import', '--name', ''], []],
    [
      ['export', ''],
      ['alpine:3', 'debian:12', 'debian:latest'],
    ],
    [
      ['export', 'deb'],
      ['debian:12', 'debian:latest'],
    ],
    [['export', 'debian:12', ''], []],
    [['export', 'debian:12', '-o', ''], [':files']],
    [
      ['export', '--format', 'oci'],
      ['oci-archive', 'oci-layout'],
    ],
    [['export', '--format=oci-a'], ['--format=oci-archive']],
    [['export', '--layer', 'alp'], ['alpine:3#0']],
    [['commit', ''], ['work']],
    [['driver', ''], ['ls']],
    [
      ['completion', ''],
      ['bash', 'fish', 'zsh'],
    ],
    [
      ['prune', '--'],
      ['--all', '--driver', '--help', '--json', '--quiet', '--root', '--storage-opt'],
    ],
    [['images', ''], []],
    [['nonsense', ''], commands.map((entry) => entry.name).sort()],
    [
      ['ls', 'debian:12#'],
      ['debian:12#0', 'debian:12#1'],
    ],
  ]
  for (const [words, candidates] of table) {
    assert.deepEqual(await complete(words, {}, sources), candidates, words.join(' '))
  }
})

test('the store that is asked is the one of the line or of the environment', async () => {
  roots.length = 0
  await complete(['--root', '/one', 'export', ''], {}, sources)
  await complete(['export', ''], { VARVE_ROOT: '/two' }, sources)
  assert.deepEqual(roots, ['/one', '/two'])
})

test('a store that can not be opened completes to nothing', async () => {
  const broken: Sources = { ...sources, store: () => Promise.reject(new Error('broken')) }
  assert.deepEqual(await complete(['export', ''], {}, broken), [])
})

test('a root that is not there is not made', async () => {
  assert.deepEqual(await complete(['--root', '/nonexistent/varve', 'export', ''], {}), [])
})

test('bash completes image names past their colon with our script', () => {
  const script = `${SCRIPTS.bash}
    varve() { printf '%s|' "$@" >&2; printf 'debian:12\\ndebian:latest\\n'; }
    COMP_LINE='varve --root /x export debian:' COMP_POINT=30
    COMP_WORDS=(varve --root /x export debian :) COMP_CWORD=5
    _varve; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' })
  assert.equal(stdout, '12\nlatest\n')
})

// Only where they are installed: nothing else here needs these shells.
for (const shell of (['zsh', 'fish'] as const).filter(
  (name) => spawnSync(name, ['--version']).status === 0,
)) {
  test(`${shell} takes our script`, () => {
    const { status, stderr } = spawnSync(shell, ['-n'], { input: SCRIPTS[shell], encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  })
}
