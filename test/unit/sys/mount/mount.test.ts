import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import type { Mount } from '../../../../core/driver.js'
import { readdir } from '../../../../core/sys/files.js'
import * as mounts from '../../../../core/sys/mount/mount.js'
import { takesLowersSingly } from '../../../../core/sys/mount/tree.js'
import { arm, counts } from '../../../../core/sys/seam.js'
import { lstat } from '../../../../core/sys/stat.js'
import { openDescriptors } from '../../../support/descriptors.js'
import { errno, scratch } from '../scratch.js'

/** Both ways to mount: the newer calls and mount(2). */
const WAYS = [
  ['the newer calls', mounts.attach],
  ['mount(2)', mounts.attachByMount],
] as const

test('this kernel has the newer calls, without which half of these tests prove nothing', (t) => {
  if (!takesLowersSingly()) t.skip('this kernel has no lowerdir+')
})

for (const [way, attachAll] of WAYS) {
  const attach = (mount: Mount, target: string) => attachAll([mount], target)

  test(`${way}: an overlay shows its layers, takes writes, and names with : \\ and , are names`, (t) => {
    const root = scratch(t)
    const path = (name: string) => `${root}/${name}`
    const names = {
      low: 'low\\:,x',
      lower: 'lo wer:',
      upper: 'up\\per:,',
      work: 'work,:\\',
      target: 'tar get\\',
    }
    for (const name of Object.values(names)) fs.mkdirSync(path(name))
    fs.writeFileSync(`${path(names.low)}/a`, 'upper one')
    fs.writeFileSync(`${path(names.lower)}/a`, 'lower one')
    fs.writeFileSync(`${path(names.lower)}/b`, 'b')
    const target = path(names.target)
    const options = [
      `lowerdir=${escaped(path(names.low))}:${escaped(path(names.lower))}`,
      `upperdir=${escaped(path(names.upper))}`,
      `workdir=${escaped(path(names.work))}`,
      'nodev',
      'noatime',
      'volatile',
      'index=off',
      'redirect_dir=off',
    ]
    attach({ type: 'overlay', source: 'overlay', options }, target)
    assert.equal(fs.readFileSync(`${target}/a`, 'utf8'), 'upper one')
    fs.writeFileSync(`${target}/c`, 'c')
    fs.rmSync(`${target}/b`)
    assert.deepEqual(readdir(path(names.upper)).sort(), ['b', 'c'])
    const info = mounts.mountInfo().filter((mount) => mount.target === target)
    assert.equal(info.length, 1)
    assert.equal(info[0]?.type, 'overlay')
    assert.deepEqual(info[0]?.options, ['rw', 'nodev', 'noatime'])
    // Newer kernels show it as `fsync=volatile`.
    assert.match(info[0]?.superOptions.join() ?? '', /\bvolatile\b/)
  })

  test(`${way}: a read-only bind shows a tree and refuses writes; the source stays writable`, (t) => {
    const root = scratch(t)
    fs.mkdirSync(`${root}/source`)
    fs.mkdirSync(`${root}/target`)
    attach({ type: 'bind', source: `${root}/source`, options: ['ro', 'nosuid', 'noexec'] }, `${root}/target`)
    assert.throws(() => fs.writeFileSync(`${root}/target/f`, ''), errno('EROFS'))
    fs.writeFileSync(`${root}/source/f`, '')
    assert.deepEqual(readdir(`${root}/target`), ['f'])
    const info = mounts.mountInfo().find((mount) => mount.target === `${root}/target`)
    assert.deepEqual(info?.options.slice(0, 3), ['ro', 'nosuid', 'noexec'])
    assert.equal(info?.root.endsWith('/source'), true)
  })

  test(`${way}: a recursive bind includes the mounts below`, (t) => {
    const root = scratch(t)
    for (const name of ['source/below', 'other', 'one', 'all'])
      fs.mkdirSync(`${root}/${name}`, { recursive: true })
    fs.writeFileSync(`${root}/other/f`, '')
    attach({ type: 'bind', source: `${root}/other`, options: [] }, `${root}/source/below`)
    attach({ type: 'bind', source: `${root}/source`, options: ['bind'] }, `${root}/one`)
    attach({ type: 'bind', source: `${root}/source`, options: ['rbind'] }, `${root}/all`)
    assert.deepEqual(readdir(`${root}/one/below`), [])
    assert.deepEqual(readdir(`${root}/all/below`), ['f'])
  })

  test(`${way}: any other type is mounted with its data`, (t) => {
    const root = scratch(t)
    attach({ type: 'tmpfs', source: 'none', options: ['size=64k', 'mode=0711', 'ro', 'private'] }, root)
    assert.equal(lstat(root).mode & 0o777, 0o711)
    const info = mounts.mountInfo().find((mount) => mount.target === root)
    assert.deepEqual([info?.type, info?.superOptions.includes('size=64k')], ['tmpfs', true])
  })

  test(`${way}: ro=vfs makes the mount read-only, and not its file system`, (t) => {
    const target = scratch(t)
    attach({ type: 'tmpfs', source: 'x', options: ['size=1m', 'nodev', 'ro=vfs'] }, target)
    const info = mounts.mountInfo().find((mount) => mount.target === target)
    assert.deepEqual(info?.options.slice(0, 2), ['ro', 'nodev'])
    assert.equal(info?.superOptions[0], 'rw')
    assert.throws(() => fs.writeFileSync(`${target}/file`, ''), errno('EROFS'))
  })

  test(`${way}: a mount with a target is mounted inside the mounts before it`, (t) => {
    const { root, place, recipe } = nested(t)
    attachAll(recipe, place)
    assert.deepEqual(readdir(`${place}/sub`), ['of-other'])
    fs.writeFileSync(`${place}/sub/of-other/file`, '')
    const targets = below(root).map(({ target }) => target.slice(place.length))
    assert.deepEqual(targets, ['', '/sub', '/sub/of-other'])
    assert.equal(below(root).at(-1)?.options.includes('noexec'), true)
    assert.match(mountLine(`${place}/sub`), / shared:/)
    assert.doesNotMatch(mountLine(`${place}/sub/of-other`), / shared:/)
    assert.throws(() => fs.writeFileSync(`${place}/sub/new`, ''), errno('EROFS'))
    assert.deepEqual(readdir(`${root}/base/sub`), [])
  })

  for (const [target, message] of [
    ['../other', /^bind: .* leads out/],
    ['sub/../../other', /leads out/],
    ['out/tmp', /leads out/],
    ['away', /leads out/],
    ['sub/..', /is their root/],
  ] as const) {
    test(`${way}: a target that leads to ${target} is refused, and nothing stays`, (t) => {
      const { root, place, recipe } = nested(t)
      const before = openDescriptors()
      const wrong = { type: 'bind', source: `${root}/base`, target, options: [] }
      assert.throws(() => attachAll([...recipe, wrong], place), { code: 'INVALID_ARGUMENT', message })
      assert.deepEqual(below(root), [])
      assert.equal(openDescriptors(), before)
    })
  }

  test(`${way}: whichever call fails, nothing stays mounted or open`, (t) => {
    const { root, place, recipe } = nested(t)
    t.after(() => arm(undefined))
    arm(undefined)
    attachAll(recipe, place)
    const calls = [...counts()].filter(([call]) => call !== 'close' && call !== 'lstat')
    mounts.unmount(place, { lazy: true })
    const before = openDescriptors()
    for (const [call, count] of calls) {
      for (let nth = 1; nth <= count; nth++) {
        arm(`EIO:${call}:${nth}`)
        assert.throws(
          () => attachAll(recipe, place),
          /^VarveError: (bind|tmpfs): mount on .*: EIO/,
          `${call}:${nth}`,
        )
        arm(undefined)
        assert.deepEqual(below(root), [])
      }
    }
    assert.equal(openDescriptors(), before)
    attachAll(recipe, place)
  })

  for (const count of way === 'mount(2)' ? [200] : [300, 500]) {
    test(`${way}: ${count} lower directories, all of them readable`, (t) => {
      const root = scratch(t)
      const lowers = makeLowers(root, count)
      fs.mkdirSync(`${root}/m`)
      attach(overlay(lowers), `${root}/m`)
      assert.equal(fs.readFileSync(`${root}/m/same`, 'utf8'), '0')
      for (let i = 0; i < count; i++) assert.equal(fs.readFileSync(`${root}/m/f${i}`, 'utf8'), String(i))
    })
  }
}

test('mount(2) refuses data that does not fit its page, and the error says what would', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/m`)
  assert.throws(() => mounts.attachByMount([overlay(makeLowers(root, 400))], `${root}/m`), {
    code: 'RESOURCE_EXHAUSTED',
    message: /400 lower directories make \d+ bytes .* one page \(4096\).*\(6\.7 or later\)/,
  })
  const long = { type: 'tmpfs', source: 'none', options: [`mode=${'7'.repeat(5000)}`] }
  assert.throws(() => mounts.attach([long], `${root}/m`), errno('RESOURCE_EXHAUSTED'))
  assert.equal(
    mounts.mountInfo().some((mount) => mount.target === `${root}/m`),
    false,
  )
})

test('directories with longer paths than a string of fsconfig are layers too', (t) => {
  const root = scratch(t)
  const deep = (name: string) => {
    const path = `${root}/${name}/${'d'.repeat(200)}/${'e'.repeat(200)}`
    fs.mkdirSync(path, { recursive: true })
    return path
  }
  const [low, lower, upper, work] = [deep('low'), deep('lower'), deep('upper'), deep('work')]
  fs.writeFileSync(`${lower}/f`, 'lower')
  fs.mkdirSync(`${root}/m`)
  mounts.attach([overlay([low, lower], [`upperdir=${upper}`, `workdir=${work}`])], `${root}/m`)
  fs.writeFileSync(`${root}/m/f`, 'written')
  assert.equal(fs.readFileSync(`${upper}/f`, 'utf8'), 'written')
})

test('an error has the target, the call, the path and the kernel’s own words', (t) => {
  const root = scratch(t)
  const [low = ''] = makeLowers(root, 1)
  fs.mkdirSync(`${root}/m`)
  const failures: readonly (readonly [Mount, string, RegExp])[] = [
    [overlay([low, `${root}/no`]), 'NOT_FOUND', /^overlay: mount on .*\/m: ENOENT: .*\/no'/],
    [
      overlay([low], ['nonsense=3']),
      'FAILED_PRECONDITION',
      /EINVAL: .* \(overlay: Unknown parameter 'nonsense'\)$/,
    ],
    [
      overlay([low], [`upperdir=${low}`]),
      'FAILED_PRECONDITION',
      /EINVAL: invalid argument, fsconfig \(.* kernel log/,
    ],
    [{ type: 'nofs', source: 'x', options: [] }, 'UNIMPLEMENTED', /^nofs: mount on .*ENODEV/],
    [{ type: 'bind', source: `${root}/no`, options: [] }, 'NOT_FOUND', /^bind: mount on .*ENOENT/],
  ]
  for (const [mount, code, message] of failures) {
    assert.throws(() => mounts.attach([mount], `${root}/m`), { name: 'VarveError', code, message })
  }
  assert.throws(() => mounts.attach([], `${root}/m`), errno('INVALID_ARGUMENT'))
  const bind = { type: 'bind', source: low, options: [] }
  assert.throws(() => mounts.attach([bind], `${root}/nowhere`), {
    message: /^bind: mount on .*\/nowhere: ENOENT.*open/,
  })
  assert.throws(() => mounts.unmount(`${root}/m`), errno('EINVAL'))
})

test('several mounts are all there or none, the last on top', (t) => {
  const root = scratch(t)
  for (const name of ['a', 'b', 'm']) fs.mkdirSync(`${root}/${name}`)
  fs.writeFileSync(`${root}/b/of-b`, '')
  const bind = (name: string): Mount => ({ type: 'bind', source: `${root}/${name}`, options: ['ro'] })
  const here = () => mounts.mountInfo().filter((mount) => mount.target === `${root}/m`).length
  assert.throws(() => mounts.attach([bind('a'), bind('b'), bind('no')], `${root}/m`), errno('NOT_FOUND'))
  assert.equal(here(), 0)
  mounts.attach([bind('a'), bind('b')], `${root}/m`)
  assert.equal(here(), 2)
  assert.deepEqual(readdir(`${root}/m`), ['of-b'])
  mounts.unmount(`${root}/m`)
  mounts.unmount(`${root}/m`)
  assert.equal(here(), 0)
})

test('a mount in use is unmounted only if lazily', (t) => {
  const root = scratch(t)
  mounts.attach([{ type: 'tmpfs', source: 'none', options: [] }], root)
  const fd = fs.openSync(root, 'r')
  assert.throws(() => mounts.unmount(root), errno('EBUSY'))
  mounts.unmount(root, { lazy: true })
  fs.closeSync(fd)
  assert.equal(
    mounts.mountInfo().some((mount) => mount.target === root),
    false,
  )
})

test('mountInfo has every mount of /proc, names with blanks, tabs and backslashes unescaped', (t) => {
  const root = `${scratch(t)}/a b\tc\n\\d#`
  fs.mkdirSync(root)
  mounts.attach([{ type: 'tmpfs', source: 'a source', options: [] }], root)
  const all = mounts.mountInfo()
  const found = all.find((mount) => mount.target === root)
  assert.deepEqual([found?.type, found?.source, found?.root], ['tmpfs', 'a source', '/'])
  assert.equal(found?.major, 0)
  assert.equal(
    all.some((mount) => mount.id === found?.parent),
    true,
  )
  assert.match(mounts.bootId(), /^[0-9a-f]{8}-[0-9a-f-]{27}$/)
})

/** A bind mount, in it another one, which is shared, and a file system in that. */
function nested(t: TestContext): {
  readonly root: string
  readonly place: string
  readonly recipe: readonly Mount[]
} {
  const root = scratch(t)
  for (const name of ['base/sub', 'other/of-other', 'place'])
    fs.mkdirSync(`${root}/${name}`, { recursive: true })
  fs.symlinkSync('/', `${root}/base/out`)
  fs.symlinkSync('../other', `${root}/base/away`)
  fs.symlinkSync('sub', `${root}/base/link`)
  const recipe = [
    { type: 'bind', source: `${root}/base`, options: ['ro'] },
    { type: 'bind', source: `${root}/other`, target: '/link', options: ['ro', 'shared'] },
    { type: 'tmpfs', source: 'none', target: 'sub/of-other', options: ['size=64k', 'noexec', 'private'] },
  ]
  return { root, place: `${root}/place`, recipe }
}

function below(root: string): mounts.MountPoint[] {
  return mounts.mountInfo().filter(({ target }) => target.startsWith(root))
}

function mountLine(target: string): string {
  const lines = fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines.find((line) => line.split(' ')[4] === target) ?? ''
}

function overlay(lowers: readonly string[], more: readonly string[] = ['ro']): Mount {
  return { type: 'overlay', source: 'overlay', options: [`lowerdir=${lowers.join(':')}`, ...more] }
}

/**
 * Directories `0`, `1` … below a long path. Each has a file `same` and a file of a different name, with its number in both.
 */
function makeLowers(root: string, count: number): string[] {
  const home = `${root}/${'home'.repeat(20)}`
  fs.mkdirSync(home)
  return Array.from({ length: count }, (_, i) => {
    const lower = `${home}/${i.toString(36)}`
    fs.mkdirSync(lower)
    fs.writeFileSync(`${lower}/same`, String(i))
    fs.writeFileSync(`${lower}/f${i}`, String(i))
    return lower
  })
}

function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&')
}
