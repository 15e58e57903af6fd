import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultRoot, readGlobal } from '../../cli/args/options.js'
import { parse } from '../../cli/parse.js'
import { commands } from '../../cli/registry.js'
import { isCode } from '../../core/errors.js'

const options = { version: '1.2.3', width: 100, print: () => {} }

async function help(words: readonly string[]): Promise<string> {
  let text = ''
  const invocation = await parse(words, {
    ...options,
    print(more) {
      text += more
    },
  })
  assert.equal(invocation, undefined)
  return text
}

test('wrong command lines are refused with a suggestion or the usage', async () => {
  const table: readonly (readonly [line: string, message: RegExp])[] = [
    ['', /^no command\nusage: varve /],
    ['impotr x', /^unknown command 'impotr'; did you mean "import"\?$/],
    ['zzzzzz', /^unknown command 'zzzzzz': varve --help lists them$/],
    ['--jsn images', /^unknown option --jsn; did you mean "--json"\?$/],
    ['images --al', /^images: unknown option --al;/],
    ['prune --al', /^prune: unknown option --al; did you mean "--all"\?$/],
    ['images -x', /^images: unknown option -x; varve images --help lists them$/],
    ['ls --recursve x', /^ls: unknown option --recursve; did you mean "--recursive"\?$/],
    ['ls --recursve=yes', /^ls: unknown option --recursve; did you mean "--recursive"\?$/],
    ['commit --nam x:1', /^commit: unknown option --nam; did you mean "--name"\?$/],
    ['ls -z x', /^ls: unknown option -z; varve ls --help lists them$/],
    ['ls', /^ls: arguments are missing: 0 given, 1 needed\nusage: varve ls <target> \[path\] \[options\]$/],
    [
      'cat x',
      /^cat: arguments are missing: 1 given, 2 needed\nusage: varve cat <target> <path> \[options\]$/,
    ],
    ['rm', /^rm: arguments are missing: 0 given, 1 needed\n/],
    ['ls a b c', /^ls: one argument too many: 'c'\nusage: varve ls /],
    ['images --root', /option --root needs a value/],
    ['export x --format oci-archiv', /unknown format 'oci-archiv'; did you mean "oci-archive"\?/],
    ['export x --compress brotli', /unknown compression 'brotli': it is one of none, gzip, zstd/],
    ['driver l', /unknown driver command 'l'; did you mean "ls"\?/],
    ['completion tcsh', /unknown shell 'tcsh'/],
  ]
  for (const [line, message] of table) {
    await assert.rejects(parse(line.split(' ').filter(Boolean), options), (error: unknown) => {
      assert.ok(isCode(error, 'INVALID_ARGUMENT'), `${line}: ${String(error)}`)
      assert.match(error.message, message)
      return true
    })
  }
})

test('words are used as typed: numbers, dashes, equals signs, the last of a repeated option', async () => {
  const table: readonly (readonly [words: readonly string[], args: Readonly<Record<string, unknown>>])[] = [
    [['ls', '0123', '1e3'], { target: '0123', path: '1e3' }],
    [['import', '-', 'b.tar'], { source: ['-', 'b.tar'] }],
    [['cat', 'x', '--', '-dash'], { target: 'x', path: '-dash' }],
    [['export', 'x', '-o', '-'], { output: '-' }],
    [['images', '--root', 'a', '--root', 'b'], { root: 'b' }],
    [['--storage-opt', 'a=1', '--storage-opt', 'b=2=3', 'images'], { 'storage-opt': ['a=1', 'b=2=3'] }],
    [
      ['--json', 'export', 'x', '-o', 'f', '--format=oci-layout'],
      { json: true, output: 'f', format: 'oci-layout' },
    ],
    [['ls', 'x', '-R'], { recursive: true }],
    [['create', '--id', '007'], { id: '007' }],
    [['rm', '-f', 'a', 'b'], { force: true, target: ['a', 'b'] }],
    [['diff', 'a', 'b', '--stat'], { a: 'a', b: 'b', stat: true }],
  ]
  for (const [words, args] of table) {
    const invocation = await parse(words, options)
    for (const [key, value] of Object.entries(args)) {
      assert.deepEqual(invocation?.args[key], value, words.join(' '))
    }
  }
})

test('every command has help with examples', async () => {
  const all = await help(['--help'])
  for (const entry of commands) {
    assert.match(all, new RegExp(`varve ${entry.name}`))
    const text = await help([entry.name, '--help'])
    assert.match(text, new RegExp(`^Usage: varve ${entry.name}`, 'm'))
    assert.match(text, /^Examples:$/m)
    assert.match(text, /--root/)
    for (const line of text.split('\n')) assert.ok(line.length <= 100, line)
  }
})

test('--version prints the version, wherever it stands', async () => {
  assert.equal(await help(['--json', '--version']), '1.2.3\n')
})

test('the command line wins over the environment, which wins over the default', () => {
  const env = { VARVE_ROOT: '/env', VARVE_DRIVER: 'vfs' }
  assert.deepEqual(readGlobal({}, env), {
    root: '/env',
    driver: 'vfs',
    storageOptions: [],
    json: false,
    quiet: false,
  })
  const given = readGlobal({ root: '/line', driver: 'overlay', 'storage-opt': ['a=b'] }, env)
  assert.deepEqual([given.root, given.driver, given.storageOptions], ['/line', 'overlay', ['a=b']])
  assert.throws(() => readGlobal({ root: '' }, env), /--root is empty/)
})

test('for users other than root the default root is in the XDG data folder', () => {
  assert.equal(defaultRoot({}, 0), '/var/lib/varve')
  assert.equal(defaultRoot({ XDG_DATA_HOME: '/data' }, 1000), '/data/varve')
  assert.match(defaultRoot({ XDG_DATA_HOME: 'relative' }, 1000), /\/\.local\/share\/varve$/)
})
