/** The rules for applying a layer: what a whiteout hides, which entry replaces another, and what is kept. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { merge } from '../../../core/extract/merge.js'
import { counts, resetCounts } from '../../../core/sys/seam.js'
import { isChar, lstat, lstatOrUndefined } from '../../../core/sys/stat.js'
import { getxattr, listxattr, setxattr } from '../../../core/sys/xattr.js'
import { copyTree } from '../../../core/tree/copy.js'
import {
  type Bench,
  bench,
  contentOf,
  describe,
  extractTar,
  pathsOf,
  type Spec,
  tarOf,
} from '../tree/support.js'

const file = (path: string, content = ''): Spec => ({ path, type: 'file', content })
const dir = (path: string): Spec => ({ path, type: 'directory' })
const symlink = (path: string, linkname: string): Spec => ({ path, type: 'symlink', linkname })
const hardlink = (path: string, linkname: string): Spec => ({ path, type: 'link', linkname })

/** A lower layer with a directory `d` of two files and a directory, a symlink to it, and a file. */
function lowerOf({ root }: Bench): string {
  const lower = `${root}/lower`
  mkdirSync(`${lower}/d/sub`, { recursive: true })
  for (const name of ['d/one', 'd/two', 'd/sub/deep', 'f']) writeFileSync(`${lower}/${name}`, name)
  symlinkSync('d', `${lower}/link`)
  symlinkSync('/d/sub', `${lower}/abs`)
  return lower
}

interface Rule {
  readonly title: string
  readonly entries: readonly Spec[]
  /** The resulting merged view (the lower layer has d/one d/two d/sub/deep f link abs). */
  readonly want: string
}

const RULES: readonly Rule[] = [
  { title: 'nothing changes nothing', entries: [], want: 'abs d d/one d/sub d/sub/deep d/two f link' },
  {
    title: 'a whiteout hides a file',
    entries: [file('d/.wh.one')],
    want: 'abs d d/sub d/sub/deep d/two f link',
  },
  { title: 'a whiteout hides a directory', entries: [file('.wh.d')], want: 'abs f link' },
  {
    title: 'a late whiteout keeps files of the same layer',
    entries: [file('d/one', 'new'), file('d/.wh.one'), file('d/.wh.two')],
    want: 'abs d d/one d/sub d/sub/deep f link',
  },
  {
    title: 'a whiteout after a directory of the same layer hides only the layers below',
    entries: [dir('d/'), file('d/mine'), file('.wh.d')],
    want: 'abs d d/mine f link',
  },
  {
    title: 'a directory entry after its whiteout shows nothing of the layers below',
    entries: [file('.wh.d'), dir('d/'), file('d/mine')],
    want: 'abs d d/mine f link',
  },
  {
    title: 'a file in a directory after its whiteout makes an empty one',
    entries: [file('.wh.d'), file('d/mine')],
    want: 'abs d d/mine f link',
  },
  {
    title: 'an opaque marker hides the layers below, before and after',
    entries: [file('d/mine'), file('d/.wh..wh..opq'), file('d/later')],
    want: 'abs d d/later d/mine f link',
  },
  {
    title: 'an opaque marker without a directory entry keeps the directory',
    entries: [file('d/.wh..wh..opq')],
    want: 'abs d f link',
  },
  {
    title: 'a whiteout inside an opaque directory leaks no name',
    entries: [file('d/.wh..wh..opq'), file('d/.wh.one'), file('d/sub/.wh.deep')],
    want: 'abs d f link',
  },
  {
    title: 'nor does one that came before the marker',
    entries: [file('d/.wh.one'), file('d/sub/.wh.deep'), file('d/.wh..wh..opq')],
    want: 'abs d f link',
  },
  {
    title: 'a directory entry after a mark in it is kept in an opaque directory',
    entries: [file('d/sub/.wh.deep'), dir('d/sub'), file('d/.wh..wh..opq')],
    want: 'abs d d/sub f link',
  },
  {
    title: 'a directory that only holds marks is hidden by a later whiteout',
    entries: [file('d/.wh.one'), file('d/sub/.wh..wh..opq'), file('.wh.d')],
    want: 'abs f link',
  },
  {
    title: 'an opaque one too',
    entries: [file('d/.wh..wh..opq'), file('.wh.d')],
    want: 'abs f link',
  },
  {
    title: 'but one with a file in it keeps only that',
    entries: [file('d/sub/.wh.deep'), file('d/sub/mine'), file('.wh.d')],
    want: 'abs d d/sub d/sub/mine f link',
  },
  {
    title: 'a file may come back after that',
    entries: [file('d/.wh.one'), file('.wh.d'), file('d/mine')],
    want: 'abs d d/mine f link',
  },
  {
    title: 'the target of a hard link into the lower layer is hidden by a later whiteout',
    entries: [hardlink('h', 'f'), file('.wh.f')],
    want: 'abs d d/one d/sub d/sub/deep d/two h link',
  },
  {
    title: 'a whiteout of its directory hides the target too',
    entries: [hardlink('h', 'd/sub/deep'), file('.wh.d')],
    want: 'abs f h link',
  },
  {
    title: 'an opaque marker hides the target too',
    entries: [hardlink('h', 'd/sub/deep'), hardlink('d/i', 'd/one'), file('d/.wh..wh..opq')],
    want: 'abs d d/i f h link',
  },
  {
    title: 'but the target stays if an entry replaced it with a file',
    entries: [hardlink('h', 'f'), file('f', 'mine'), file('.wh.f')],
    want: 'abs d d/one d/sub d/sub/deep d/two f h link',
  },
  { title: 'an opaque root', entries: [file('.wh.f'), file('.wh..wh..opq'), file('mine')], want: 'mine' },
  {
    title: 'a whiteout of a missing file does nothing',
    entries: [file('d/.wh.nope'), file('no/.wh.x')],
    want: 'abs d d/one d/sub d/sub/deep d/two f link',
  },
  { title: 'a file over a directory', entries: [file('d')], want: 'abs d f link' },
  { title: 'a file, then a directory over it', entries: [file('d'), dir('d/')], want: 'abs d f link' },
  {
    title: 'a directory over a symlink',
    entries: [dir('link'), file('link/x')],
    want: 'abs d d/one d/sub d/sub/deep d/two f link link/x',
  },
  {
    title: 'a file through a symlink',
    entries: [file('link/x')],
    want: 'abs d d/one d/sub d/sub/deep d/two d/x f link',
  },
  {
    title: 'a file through an absolute symlink',
    entries: [file('abs/x')],
    want: 'abs d d/one d/sub d/sub/deep d/sub/x d/two f link',
  },
  {
    title: 'a whiteout through a symlink',
    entries: [file('link/.wh.one')],
    want: 'abs d d/sub d/sub/deep d/two f link',
  },
  {
    title: 'a hidden symlink is not followed',
    entries: [file('.wh.link'), file('link/x')],
    want: 'abs d d/one d/sub d/sub/deep d/two f link link/x',
  },
  {
    title: 'a hard link into the lower layer',
    entries: [hardlink('h', 'd/one')],
    want: 'abs d d/one d/sub d/sub/deep d/two f h link',
  },
  {
    title: 'a hard link through a symlink of the lower layer',
    entries: [hardlink('h', 'link/sub/deep')],
    want: 'abs d d/one d/sub d/sub/deep d/two f h link',
  },
  {
    title: 'types that change back and forth',
    entries: [
      dir('x'),
      file('x/a'),
      file('x'),
      symlink('x', 'f'),
      dir('x'),
      file('x/b'),
      hardlink('x', 'f'),
      file('x'),
    ],
    want: 'abs d d/one d/sub d/sub/deep d/two f link x',
  },
]

for (const { title, entries, want } of RULES) {
  test(`a merged tree: ${title}`, async (t) => {
    const base = bench(t)
    const lower = lowerOf(base)
    const { whiteouts, opaques } = await extractTar(base, tarOf(entries), { lower })
    await merge(base.upper, lower, { whiteouts, opaques })
    assert.equal(pathsOf(lower).join(' '), want)
  })
  test(`an overlay's upper: ${title}`, async (t) => {
    const base = bench(t)
    const lower = lowerOf(base)
    await extractTar(base, tarOf(entries), { lower, style: 'overlay' })
    assert.equal(overlaid(base.upper, lower).join(' '), want)
  })
}

test('a whiteout is a device 0:0, and none is in an opaque directory or in a base layer', async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  const entries = [file('d/.wh.one'), file('.wh.f'), file('d/.wh..wh..opq')]
  await extractTar(base, tarOf(entries), { lower, style: 'overlay' })
  assert.deepEqual(pathsOf(base.upper), ['d', 'f'])
  const { mode, rdevMajor, rdevMinor } = lstat(`${base.upper}/f`)
  assert.deepEqual([isChar(mode), rdevMajor, rdevMinor], [true, 0, 0])
  assert.equal(getxattr(`${base.upper}/d`, 'trusted.overlay.opaque'), 'y')
  const alone = bench(t)
  await extractTar(alone, tarOf(entries), { style: 'overlay' })
  assert.deepEqual(pathsOf(alone.upper), [])
})

test('the root entry sets mode, owner, times and attributes of the root', async (t) => {
  const base = bench(t)
  const root: Spec = {
    path: './',
    mode: 0o1705,
    uid: 3,
    gid: 4,
    mtime: { sec: 77, nsec: 88 },
    xattrs: new Map([['user.r', '\0\xff']]),
  }
  await extractTar(base, tarOf([file('a'), root, file('b')]))
  const stat = lstat(base.upper)
  assert.equal(stat.mode & 0o7777, 0o1705)
  assert.deepEqual([stat.uid, stat.gid, stat.mtimeSec, stat.mtimeNsec], [3, 4, 77, 88])
  assert.equal(getxattr(base.upper, 'user.r'), '\0\xff')
})

test('all attributes are kept: setuid, capabilities, binary values, ns times of files and directories', async (t) => {
  const base = bench(t)
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex').toString('latin1')
  await extractTar(
    base,
    tarOf([
      { path: 'd/', mode: 0o2775, uid: 1, gid: 2, mtime: { sec: -5, nsec: 123456789 } },
      {
        path: 'd/f',
        content: 'x',
        mode: 0o6755,
        uid: 5,
        gid: 6,
        xattrs: new Map([
          ['security.capability', capability],
          ['user.bin', '\0\n\xff='],
        ]),
      },
      { path: 'd/e/', mode: 0o755 },
      { path: 'd/p', type: 'fifo', mode: 0o4600, mtime: { sec: 9, nsec: 999999999 } },
      { path: 'd/l', type: 'symlink', linkname: 'f', uid: 8, gid: 9, mtime: { sec: 10, nsec: 11 } },
    ]),
  )
  const got = describe(base.upper).slice(1)
  assert.deepEqual(got, [
    'd 42775 1 2 -5.123456789',
    'd/e 40755 0 0 1000000.000000005',
    `d/f 106755 5 6 1000000.000000005 "x" security.capability=${Buffer.from(capability, 'latin1').toString('hex')} user.bin=000aff3d`,
    'd/l 120777 8 9 10.000000011 -> f',
    'd/p 14600 0 0 9.999999999',
  ])
})

test('an implied directory is as in the layer below, or plain', async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  setxattr(`${lower}/d`, 'user.kept', 'yes')
  const before = lstat(`${lower}/d`)
  await extractTar(base, tarOf([file('d/x'), file('new/x')]), { lower })
  const after = lstat(`${base.upper}/d`)
  assert.deepEqual([after.mtimeSec, after.mtimeNsec], [before.mtimeSec, before.mtimeNsec])
  assert.equal(getxattr(`${base.upper}/d`, 'user.kept'), 'yes')
  assert.match(describe(base.upper).at(-2) ?? '', /^new 40755 0 0 0\.000000000$/)
})

test("a directory entry replaces all of a directory's attributes", async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  setxattr(`${lower}/d`, 'user.old', 'yes')
  const { whiteouts, opaques } = await extractTar(
    base,
    tarOf([file('d/x'), { path: 'd/', mode: 0o700, xattrs: new Map([['user.new', '1']]) }]),
    { lower },
  )
  assert.deepEqual(listxattr(`${base.upper}/d`), ['user.new'])
  await merge(base.upper, lower, { whiteouts, opaques })
  assert.deepEqual(listxattr(`${lower}/d`), ['user.new'])
  assert.match(describe(lower)[2] ?? '', /^d 40700 0 0 1000000\.000000005/)
})

test("overlay's own attributes are escaped in an overlay layer and plain elsewhere", async (t) => {
  const xattrs = new Map([
    ['trusted.overlay.opaque', 'y'],
    ['trusted.overlay.redirect', '/etc'],
    ['user.overlay.x', '1'],
  ])
  for (const [style, want] of [
    ['overlay', ['trusted.overlay.overlay.opaque', 'trusted.overlay.overlay.redirect', 'user.overlay.x']],
    ['overlay-userxattr', ['trusted.overlay.opaque', 'trusted.overlay.redirect', 'user.overlay.overlay.x']],
    ['list', ['trusted.overlay.opaque', 'trusted.overlay.redirect', 'user.overlay.x']],
  ] as const) {
    const base = bench(t)
    await extractTar(base, tarOf([{ path: 'd/', xattrs }]), { style })
    assert.deepEqual(listxattr(`${base.upper}/d`).sort(), want)
  }
})

test("a device 0:0, which overlay can't hold, is refused there and kept elsewhere", async (t) => {
  for (const style of ['overlay', 'overlay-userxattr'] as const) {
    const extracting = extractTar(bench(t), tarOf([{ path: 'd/zz', type: 'char' }]), { style })
    await assert.rejects(extracting, {
      code: 'INVALID_ARGUMENT',
      message: /^lay down "d\/zz": overlay can't/,
    })
  }
  const base = bench(t)
  await extractTar(base, tarOf([{ path: 'zz', type: 'char' }]))
  assert.equal(isChar(lstat(`${base.upper}/zz`).mode), true)
})

test("an opaque root on overlay: whiteouts of what is below, opaque directories of the layer's own", async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  const entries = [dir('d/'), file('f', 'mine'), file('link/.wh.two'), file('.wh..wh..opq'), file('new', '')]
  await extractTar(base, tarOf(entries), { lower, style: 'overlay' })
  assert.deepEqual(pathsOf(base.upper), ['abs', 'd', 'f', 'link', 'new'])
  for (const name of ['abs', 'link']) assert.equal(isChar(lstat(`${base.upper}/${name}`).mode), true)
  assert.equal(getxattr(`${base.upper}/d`, 'trusted.overlay.opaque'), 'y')
  assert.deepEqual(listxattr(base.upper), [])
})

test('a link or mark that names its directory through a symlink is reported as an alias', async (t) => {
  for (const style of ['overlay', 'list'] as const) {
    const base = bench(t)
    const lower = lowerOf(base)
    const link = await extractTar(base, tarOf([hardlink('h', 'link/one')]), { lower, style })
    assert.deepEqual(link.aliases, [['link', 'd']])
    const other = { ...bench(t), root: base.root }
    const mark = await extractTar(other, tarOf([file('abs/.wh.deep')]), { lower, style })
    assert.deepEqual(mark.aliases, [['abs', 'd/sub']])
  }
})

test('payloads that a later entry replaced are kept aside, by digest', async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  const sparse: Spec = {
    path: 's',
    type: 'file',
    size: 3_000_000,
    stored: 4,
    content: 'abcd',
    sparse: [
      { offset: 10, length: 2 },
      { offset: 2_000_000, length: 2 },
    ],
  }
  const { replaced, size, inodes, entries } = await extractTar(
    base,
    tarOf([
      file('a', 'first'),
      file('a', 'second'),
      hardlink('b', 'a'),
      file('d/x/deep', 'third'),
      symlink('d', 'f'),
      sparse,
      file('s', 'now'),
      file('.wh.nothing', 'payload of a whiteout'),
      hardlink('h', 'f'),
      file('f', 'mine'),
      file('a', 'last'),
      file('b', 'b'),
    ]),
    { lower },
  )
  const wanted = ['first', 'third', 'abcd', 'payload of a whiteout', 'second']
  assert.deepEqual(
    replaced.map(({ sha256 }) => sha256),
    wanted.map((text) => createHash('sha256').update(text).digest('hex')),
  )
  assert.deepEqual(
    replaced.map(({ file }) => readFileSync(file, 'utf8')),
    wanted,
  )
  assert.equal(entries, 12)
  assert.deepEqual([size, inodes], ['lastbnowf mine'.length - 1, 6])
})

test('a name that meant two directories keeps its payload aside too', async (t) => {
  const base = bench(t)
  const tar = tarOf([
    dir('one'),
    dir('two'),
    symlink('l', 'one'),
    file('l/a', 'A'),
    symlink('l', 'two'),
    file('l/a', 'B'),
  ])
  const { aliases, replaced } = await extractTar(base, tar)
  assert.deepEqual(aliases, [['l', 'one']])
  assert.deepEqual(
    replaced.map(({ file }) => readFileSync(file, 'utf8')),
    ['B'],
  )
  assert.deepEqual([contentOf(`${base.upper}/one/a`), contentOf(`${base.upper}/two/a`)], ['A', 'B'])
})

test('a hard link into the lower layer has its content, holes and attributes', async (t) => {
  const base = bench(t)
  const lower = lowerOf(base)
  writeFileSync(`${lower}/f`, Buffer.alloc(1 << 20), { flag: 'w' })
  setxattr(`${lower}/f`, 'user.x', '\0\x01')
  const before = describe(lower).find((line) => line.startsWith('f ')) ?? ''
  await extractTar(base, tarOf([hardlink('h', 'f')]), { lower })
  const [, f, h] = describe(base.upper)
  assert.equal(f, before)
  assert.equal(h, `${before.replace(/^f/, 'h')} = f`)
})

test('a directory keeps its default ACL, and files in it do not inherit it', async (t) => {
  const base = bench(t)
  const acl = aclOf([1, 7, -1], [2, 6, 5], [4, 5, -1], [16, 7, -1], [32, 0, -1])
  const entries: Spec[] = [
    { path: 'd/', xattrs: new Map([['system.posix_acl_default', acl]]) },
    { path: 'd/f', content: 'x', mode: 0o600 },
    { path: 'd/e/' },
  ]
  await extractTar(base, tarOf(entries))
  mkdirSync(`${base.root}/copy`)
  await copyTree(base.upper, `${base.root}/copy`)
  for (const root of [base.upper, `${base.root}/copy`]) {
    assert.equal(getxattr(`${root}/d`, 'system.posix_acl_default'), acl)
    assert.deepEqual([listxattr(`${root}/d/f`), listxattr(`${root}/d/e`)], [[], []])
  }
})

/** linux/posix_acl_xattr.h: version 2, then tag, permissions and id of each entry. */
function aclOf(...entries: readonly (readonly [tag: number, permissions: number, id: number])[]): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length)
  bytes.writeUInt32LE(2)
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * i)
    bytes.writeUInt16LE(permissions, 6 + 8 * i)
    bytes.writeInt32LE(id, 8 + 8 * i)
  }
  return bytes.toString('latin1')
}

test('sparse files keep their holes', async (t) => {
  const base = bench(t)
  const segments = [
    { offset: 5, length: 3 },
    { offset: 9_000_000, length: 2 },
  ]
  await extractTar(
    base,
    tarOf([{ path: 's', type: 'file', size: 10_000_000, stored: 5, content: 'abcde', sparse: segments }]),
  )
  const { size, blocks } = lstat(`${base.upper}/s`)
  assert.equal(size, 10_000_000)
  assert.ok(blocks * 512 < 100_000)
  const bytes = readFileSync(`${base.upper}/s`)
  assert.deepEqual(
    [bytes.subarray(5, 8).toString(), bytes.subarray(9_000_000, 9_000_002).toString()],
    ['abc', 'de'],
  )
})

test('a directory 1,900 levels deep is created, found again and replaced', async (t) => {
  const base = bench(t)
  const deep = 'd/'.repeat(1_900)
  await extractTar(base, tarOf([dir(deep), file(`${deep}x`, 'x'), file(`${deep}.wh.x`), file('d', 'flat')]))
  assert.equal(contentOf(`${base.upper}/d`), 'flat')
})

for (const [title, entries] of floods()) {
  test(`${title} take time in proportion`, async (t) => {
    const half = await callsOf(t, entries.slice(0, entries.length / 2))
    const whole = await callsOf(t, entries)
    assert.ok(whole < half * 2.2, `${half} calls for half of them, ${whole} for all`)
    assert.ok(whole < entries.length * 16, `${whole} calls for ${entries.length} entries`)
  })
}

function floods(): readonly (readonly [string, readonly Spec[]])[] {
  const opaque = (path: string): Spec => file(`${path}/.wh..wh..opq`)
  const nested = Array.from({ length: 2_000 }, (_, i) =>
    opaque('d/'.repeat((i % 100) + 1) + Math.floor(i / 100)),
  )
  const flat = Array.from({ length: 4_000 }, (_, i) => opaque(`d/${i}`))
  const same = Array.from({ length: 4_000 }, () => opaque('d'))
  const mixed = Array.from({ length: 4_000 }, (_, i) => (i % 2 === 0 ? file(`d/.wh.${i}`) : opaque('d')))
  return [
    ['4,000 opaque markers beside each other', flat],
    ['2,000 opaque markers inside each other', nested],
    ['4,000 opaque markers of one directory', same],
    ['4,000 whiteouts and markers in turn', mixed],
  ]
}

async function callsOf(t: TestContext, entries: readonly Spec[]): Promise<number> {
  const base = bench(t)
  const lower = `${base.root}/lower`
  mkdirSync(`${lower}/d`, { recursive: true })
  for (const { path } of entries) {
    const directory = path.slice(0, path.lastIndexOf('/'))
    mkdirSync(`${lower}/${directory}`, { recursive: true })
    const hidden = /\/\.wh\.(\d+)$/.exec(path)?.[1]
    if (hidden !== undefined) writeFileSync(`${lower}/${directory}/${hidden}`, '')
  }
  const tar = tarOf(entries)
  resetCounts()
  await extractTar(base, tar, { lower, style: 'overlay' })
  return [...counts().values()].reduce((sum, count) => sum + count, 0)
}

/** The names that overlayfs would show: whiteouts and opaque directories as the kernel reads them. */
function overlaid(upper: string, lower: string): string[] {
  const hides = (path: string): boolean => {
    for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      const stat = lstatOrUndefined(at === '' ? upper : `${upper}/${at}`)
      const directory = stat !== undefined && (stat.mode & 0o170000) === 0o040000
      if (
        at !== path &&
        directory &&
        listxattr(at === '' ? upper : `${upper}/${at}`).includes('trusted.overlay.opaque')
      )
        return true
      if (stat !== undefined && !directory) return true
      if (at === '') return false
    }
  }
  const shown = new Set(pathsOf(lower).filter((path) => !hides(path)))
  for (const path of pathsOf(upper)) {
    const { mode, rdevMajor, rdevMinor } = lstat(`${upper}/${path}`)
    // In a directory that is not merged, the kernel would list a whiteout, so it counts as a name here.
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    const merged =
      parent === ''
        ? !listxattr(upper).includes('trusted.overlay.opaque')
        : shown.has(parent) &&
          lstatOrUndefined(`${lower}/${parent}`) !== undefined &&
          !listxattr(`${upper}/${parent}`).includes('trusted.overlay.opaque') &&
          !hides(parent)
    if (isChar(mode) && rdevMajor === 0 && rdevMinor === 0 && merged) continue
    shown.add(path)
  }
  return [...shown].sort()
}
