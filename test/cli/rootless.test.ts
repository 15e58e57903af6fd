/** The whole command for a user other than root: his own vfs store, and modes that lock the owner out. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readImages } from '../support/archive.js'
import { CLI } from '../support/varve.js'
import { digestOfBytes, dockerContent, imageOf, tarOf } from '../unit/formats/build.js'
import { type Spec, tarOf as tarOfSpecs } from '../unit/tree/support.js'

const layer = (...specs: Spec[]) => tarOfSpecs(specs)
const LAYERS = [
  layer(
    { path: './', mode: 0o555 },
    { path: 'dev/' },
    { path: 'dev/null', type: 'char', mode: 0o666, devMajor: 1, devMinor: 3 },
    { path: 'dev/twin', type: 'link', linkname: 'dev/null' },
    { path: 'etc/' },
    { path: 'etc/shadow', mode: 0, content: 'root:*' },
    { path: 'odd/', mode: 0 },
    { path: 'odd/inner/', mode: 0 },
    { path: 'odd/inner/file', mode: 0, content: 'hidden' },
    { path: 'usr/', mode: 0o555 },
    { path: 'usr/bin/', mode: 0o555 },
    { path: 'usr/bin/old', mode: 0o555, content: 'old' },
  ),
  layer(
    { path: './', mode: 0o555 },
    { path: 'usr/', mode: 0o555 },
    { path: 'usr/bin/', mode: 0o555 },
    { path: 'usr/bin/.wh.old' },
    { path: 'usr/bin/new', mode: 0o111, content: 'new' },
    { path: 'usr/moved/', mode: 0o555 },
    { path: 'usr/moved/file', content: 'x' },
    { path: 'odd/inner/more', content: 'y' },
  ),
]
const USER = ['--reuid=65534', '--regid=65534', '--clear-groups']

test('an image is imported, changed and exported without root, whatever its modes', () => {
  const work = fs.mkdtempSync(join(tmpdir(), 'varve-rootless-'))
  const asUser = (command: string, ...args: string[]) =>
    spawnSync('setpriv', [...USER, command, ...args], { cwd: '/', encoding: 'utf8' })
  const attempt = (...args: string[]) =>
    asUser(process.execPath, CLI, '--root', join(work, 'root'), '--driver', 'vfs', ...args)
  const varve = (...args: string[]): string => {
    const { status, stdout, stderr } = attempt(...args)
    assert.equal(status, 0, `varve ${args.join(' ')}: ${stderr}${stdout}`)
    return stdout
  }
  const refused = (pattern: RegExp, ...args: string[]) => {
    const { status, stderr } = attempt(...args)
    assert.equal(status, 5)
    assert.match(stderr, pattern)
  }
  try {
    const app = { ...imageOf(LAYERS), tags: ['app:1'] }
    fs.writeFileSync(join(work, 'app.tar'), tarOf(dockerContent([app])))
    fs.chownSync(work, 65534, 65534)
    const target = join(work, 'target')
    fs.mkdirSync(target)
    varve('import', join(work, 'app.tar'))
    assert.match(varve('images'), /^app:1 /m)
    assert.match(varve('ls', 'app:1', '-R'), /^d--------- .* \/odd\/inner$/m)
    assert.equal(varve('cat', 'app:1', '/etc/shadow'), 'root:*')
    assert.equal(varve('cat', 'app:1', '/odd/inner/file'), 'hidden')
    assert.equal(varve('cat', 'app:1', '/odd/inner/more'), 'y')
    assert.equal(varve('cat', 'app:1', '/usr/bin/new'), 'new')
    const { id } = JSON.parse(varve('inspect', 'app:1#1')) as { id: string }
    const { mode } = fs.lstatSync(join(work, 'root/vfs/dir', id, 'odd/inner'))
    assert.equal(mode & 0o7777, 0, 'an implied directory has the mode of the layer below')
    assert.match(varve('check', '--data'), /well/)

    varve('create', '--parent', 'app:1', '--id', 'work')
    refused(/mounting needs root/, 'mount', 'app:1')
    refused(/mounting needs root/, 'mount', 'work', target)
    const place = varve('mount', 'work').trim()
    assert.equal(varve('mount', 'work').trim(), place)
    const script =
      'cd "$1" && echo more > etc/new && chmod 0 etc/new && chmod 700 usr usr/bin && rm usr/bin/new'
    assert.equal(asUser('sh', '-c', script, 'sh', place).status, 0)
    assert.match(varve('diff', 'work'), /^A \/etc\/new$/m)
    varve('umount', 'work')
    refused(/is mounted at/, 'commit', 'work')
    varve('umount', 'work')
    refused(/is not mounted/, 'umount', 'work')
    varve('commit', 'work', '--name', 'mine:1')
    assert.equal(varve('cat', 'mine:1', '/etc/new'), 'more\n')

    // A child of a layer with directories that lock their owner out.
    varve('create', '--parent', 'mine:1', '--id', 'second')
    assert.equal(varve('ls', 'second', '--merged', '-R', '--quiet').includes('/odd/inner/file'), true)
    varve('rm', 'second')

    for (const name of ['app:1', 'mine:1']) {
      varve('export', name, '--output', join(work, `${name}.tar`))
      fs.mkdirSync(join(work, `read-${name}`))
      const [image] = readImages(join(work, `${name}.tar`), join(work, `read-${name}`))
      assert.deepEqual(image?.layers.slice(0, 2), LAYERS.map(digestOfBytes))
    }
    assert.match(varve('check', '--data'), /well/)
    varve('rm', 'mine:1')
    varve('rm', 'app:1')
    varve('prune')
    assert.deepEqual(fs.readdirSync(join(work, 'root/vfs/dir')), [])
  } finally {
    execFileSync('rm', ['-rf', work])
  }
})
