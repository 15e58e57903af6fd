/** Tars that try to break out of the layer: whatever else happens, nothing outside is created, changed or removed. */
import assert from 'node:assert/strict'
import { chmodSync, lstatSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { isCode } from '../../../core/errors.js'
import {
  type Bench,
  bench,
  describe,
  extractTar,
  namesIn,
  pathsOf,
  type Spec,
  type Style,
  tarOf,
} from '../tree/support.js'

interface Case {
  readonly title: string
  /** `OUT` in a link's target stands for the absolute path of the directory to protect, `UP` for enough `../`. */
  readonly entries: readonly Spec[]
  /** The resulting paths of the layer, without the lower layer's; `refused`: INVALID_ARGUMENT. */
  readonly want: 'refused' | readonly string[]
  /** Matches the error's message. */
  readonly because?: RegExp
}

const file = (path: string, content = 'evil'): Spec => ({ path, type: 'file', content })
const dir = (path: string): Spec => ({ path, type: 'directory' })
const symlink = (path: string, linkname: string): Spec => ({ path, type: 'symlink', linkname })
const hardlink = (path: string, linkname: string): Spec => ({ path, type: 'link', linkname })
const OUT_INSIDE = (path: string): string[] => [...above('OUT'), ...(path === '' ? [] : [`OUT/${path}`])]

const BREAKOUTS: readonly Case[] = [
  {
    title: 'an absolute symlink as parent',
    entries: [symlink('a', '/OUT'), file('a/evil')],
    want: ['a', ...OUT_INSIDE('evil')],
  },
  {
    title: 'a relative symlink out of the layer as parent',
    entries: [symlink('a', 'UP/OUT'), file('a/evil')],
    want: ['a', ...OUT_INSIDE('evil')],
  },
  {
    title: 'a symlink to the sentinel, then a file of its name',
    entries: [symlink('a', '/OUT/file'), file('a')],
    want: ['a'],
  },
  {
    title: 'chained symlinks',
    entries: [
      dir('d'),
      symlink('d/b', '..'),
      symlink('d/b2', 'b/..'),
      symlink('c', 'd/b2/UP/OUT'),
      file('c/evil'),
    ],
    want: ['c', 'd', 'd/b', 'd/b2', ...OUT_INSIDE('evil')],
  },
  {
    title: 'symlinks that point to each other',
    entries: [symlink('a', 'b'), symlink('b', 'a'), file('a/x')],
    want: 'refused',
  },
  { title: 'a symlink to itself as parent', entries: [symlink('a', 'a'), file('a/x')], want: 'refused' },
  { title: 'a hard link out, relative', entries: [hardlink('a', 'UP/OUT/file')], want: 'refused' },
  { title: 'a hard link out, absolute', entries: [hardlink('a', '/OUT/file')], want: 'refused' },
  {
    title: 'a hard link down and out',
    entries: [dir('d'), hardlink('a', 'd/../UP/OUT/file')],
    want: 'refused',
  },
  {
    title: 'a hard link through a symlink',
    entries: [symlink('s', '/OUT'), hardlink('a', 's/file')],
    want: 'refused',
  },
  {
    title: 'a hard link to a symlink, then a file over it',
    entries: [symlink('s', '/OUT/file'), hardlink('a', 's'), file('a')],
    want: ['a', 's'],
  },
  {
    title: 'a hard link to a symlink before that exists',
    entries: [hardlink('a', 's'), symlink('s', '/OUT/file')],
    want: 'refused',
  },
  {
    title: 'a change of mode through a hard link to a symlink',
    entries: [symlink('s', '/OUT/file'), { ...hardlink('a', 's'), mode: 0o7777, uid: 7 }],
    want: ['a', 's'],
  },
  { title: 'a hard link to the root', entries: [hardlink('a', '/')], want: 'refused' },
  { title: 'a hard link to a directory', entries: [dir('d'), hardlink('a', 'd')], want: 'refused' },
  {
    title: 'hard links that name each other',
    entries: [hardlink('a', 'b'), hardlink('b', 'a')],
    want: 'refused',
  },
  { title: 'a hard link to a later entry', entries: [hardlink('a', 'b'), file('b')], want: 'refused' },
  { title: 'a hard link to itself', entries: [file('a'), hardlink('a', './a')], want: ['a'] },
  { title: 'a hard link to what it replaces', entries: [file('d/f'), hardlink('d', 'd/f')], want: 'refused' },
  { title: 'a ".." path', entries: [file('UP/OUT/evil')], want: 'refused' },
  { title: 'a ".." in the middle', entries: [file('a/../UP/OUT/evil')], want: 'refused' },
  { title: 'an absolute path', entries: [file('/OUT/evil')], want: OUT_INSIDE('evil') },
  { title: '..foo is a name', entries: [file('..foo')], want: ['..foo'] },
  { title: 'a trailing slash', entries: [file('a/', ''), dir('b//')], want: ['a', 'b'] },
  {
    title: 'a directory overriding a symlink',
    entries: [symlink('a', '/OUT'), { ...dir('a'), mode: 0o777 }, file('a/evil')],
    want: ['a', 'a/evil'],
  },
  {
    title: 'a symlink overriding a directory',
    entries: [dir('a'), file('a/x'), symlink('a', '/OUT'), file('a/evil')],
    want: ['a', ...OUT_INSIDE('evil')],
  },
  { title: 'the root entry as a symlink', entries: [symlink('./', '/OUT'), file('evil')], want: 'refused' },
  { title: 'the root entry as a file', entries: [file('.')], want: 'refused' },
  { title: 'a file as parent', entries: [file('a'), file('a/b')], want: 'refused' },
  {
    title: 'a device as parent',
    entries: [{ path: 'a', type: 'char', devMajor: 1, devMinor: 3 }, file('a/b')],
    want: 'refused',
  },
  {
    title: 'a hard link to a device',
    entries: [{ path: 'a', type: 'char', devMajor: 1, devMinor: 3 }, hardlink('b', 'a'), file('b')],
    want: ['a', 'b'],
  },
  {
    title: 'an absolute symlink of the lower layer as parent',
    entries: [file('low-abs/evil')],
    want: OUT_INSIDE('evil'),
  },
  {
    title: 'a symlink out of the lower layer as parent',
    entries: [file('low-up/evil')],
    want: OUT_INSIDE('evil'),
  },
  {
    title: 'a hard link through a symlink of the lower layer',
    entries: [hardlink('a', 'low-abs/file')],
    want: 'refused',
  },
]

const WHITEOUTS: readonly Case[] = [
  { title: 'of the root', entries: [file('.wh.')], want: 'refused' },
  { title: 'of "."', entries: [file('.wh..')], want: 'refused' },
  { title: 'of ".."', entries: [file('.wh...')], want: 'refused' },
  { title: 'of the parent, in a directory', entries: [dir('d'), file('d/.wh...')], want: 'refused' },
  { title: 'through an absolute symlink', entries: [symlink('a', '/OUT'), file('a/.wh.file')], want: ['a'] },
  { title: 'through a relative symlink', entries: [symlink('a', 'UP/OUT'), file('a/.wh.file')], want: ['a'] },
  { title: "through a lower layer's symlink", entries: [file('low-abs/.wh.file')], want: [] },
  {
    title: 'of a name below a dead symlink',
    entries: [symlink('a', '/nowhere'), file('a/.wh.x')],
    want: ['a'],
  },
  { title: 'with a ".." path', entries: [file('UP/OUT/.wh.file')], want: 'refused' },
  {
    title: 'an opaque marker through a symlink',
    entries: [symlink('a', '/OUT'), file('a/.wh..wh..opq')],
    want: ['a'],
  },
  { title: 'an opaque marker with a ".." path', entries: [file('UP/OUT/.wh..wh..opq')], want: 'refused' },
  { title: "aufs's own names", entries: [file('.wh..wh.aufs'), file('.wh..wh.plnk/1')], want: [] },
]

const ODD: readonly Case[] = [
  { title: 'uid above 2^32', entries: [{ ...file('a'), uid: 2 ** 33 }], want: 'refused' },
  {
    title: 'uid 2^32-1, which chown takes for "keep", is left out, as other tars do',
    entries: [{ ...file('a'), uid: 2 ** 32 - 1 }],
    want: ['a'],
  },
  { title: 'a negative gid', entries: [{ ...file('a'), gid: -1 }], want: 'refused' },
  {
    title: 'a time before 1970',
    entries: [{ ...file('a'), mtime: { sec: -1_000_000, nsec: 1 } }],
    want: ['a'],
  },
  {
    title: 'a time in a million years',
    entries: [{ ...file('a'), mtime: { sec: 2 ** 45, nsec: 0 } }],
    want: ['a'],
  },
  {
    title: 'a name of 256 bytes',
    entries: [file(`d/${'x'.repeat(256)}`)],
    want: 'refused',
    because: /it has a name of 256 bytes, and a name has at most 255/,
  },
  {
    title: 'a path longer than PATH_MAX',
    entries: [file(`${'dir4/'.repeat(900)}x`)],
    want: 'refused',
    because: /it has 4501 bytes, and a path has at most 4095/,
  },
  {
    title: 'a depth of 10,000',
    entries: [file(`${'d/'.repeat(10_000)}x`)],
    want: 'refused',
    because: /it has 20001 bytes, and a path has at most 4095/,
  },
  {
    title: 'a device number out of range',
    entries: [{ path: 'a', type: 'block', devMajor: 5000, devMinor: 0 }],
    want: 'refused',
  },
]

for (const style of ['list', 'overlay'] as const) {
  for (const [group, cases] of [
    ['breakout', BREAKOUTS],
    ['whiteout', WHITEOUTS],
    ['odd', ODD],
  ] as const) {
    for (const { title, entries, want, because } of cases) {
      test(`${style}, ${group}: ${title}`, async (t) => {
        const stage = prepare(bench(t))
        await check(
          stage,
          entries.map((entry) => stage.place(entry)),
          style,
          { want: typeof want === 'string' ? want : want.flatMap(stage.expand), ...(because && { because }) },
        )
      })
    }
  }
}

test('a NUL in a name is refused', async (t) => {
  const stage = prepare(bench(t))
  const tar = tarOf([file('caf\u00e9-NUL-evil')])
  for (let at = tar.indexOf('-NUL-'); at >= 0; at = tar.indexOf('-NUL-', at + 1)) tar[at + 2] = 0
  await assert.rejects(extractTar(stage, tar), (error) => !(error instanceof TypeError))
  assert.deepEqual(describe(stage.outside), stage.before)
})

async function check(
  stage: ReturnType<typeof prepare>,
  entries: readonly Spec[],
  style: Style,
  { want, because }: Pick<Case, 'want' | 'because'>,
): Promise<void> {
  const work = extractTar(stage, tarOf(entries), { lower: stage.lower, style })
  if (want === 'refused') {
    await assert.rejects(work, (error) => {
      assert.ok(isCode(error, 'INVALID_ARGUMENT'), String(error))
      if (because !== undefined) assert.match(error.message, because)
      return true
    })
    assert.deepEqual(namesIn(stage.scratch), [], 'nothing is left aside')
  } else {
    await work
    assert.deepEqual(pathsOf(stage.upper), [...new Set(want)].sort())
  }
  assert.deepEqual(describe(stage.outside), stage.before, 'the sentinel is as it was')
  assert.deepEqual(namesIn(stage.root), ['lower', 'outside', 'scratch', 'upper'])
}

/** A directory beside the layer that must not change, and a lower layer with symlinks to it. */
function prepare(base: Bench) {
  const outside = `${base.root}/outside`
  const lower = `${base.root}/lower`
  mkdirSync(outside)
  writeFileSync(`${outside}/file`, 'safe')
  chmodSync(`${outside}/file`, 0o640)
  mkdirSync(`${outside}/kept`, { mode: 0o700 })
  writeFileSync(`${outside}/kept/inner`, 'safe too')
  utimesSync(`${outside}/file`, 1, 1)
  mkdirSync(lower)
  symlinkSync(outside, `${lower}/low-abs`)
  symlinkSync(`../../../../../../..${outside}`, `${lower}/low-up`)
  assert.ok(lstatSync(`${lower}/low-abs`).isSymbolicLink())
  const out = outside.slice(1)
  const replace = (text: string) =>
    text.replaceAll('UP/OUT', `../../../../../../..${outside}`).replaceAll('OUT', out)
  return {
    ...base,
    outside,
    lower,
    before: describe(outside),
    place: (spec: Spec): Spec => ({
      ...spec,
      path: replace(spec.path),
      ...(spec.linkname === undefined ? {} : { linkname: replace(spec.linkname) }),
    }),
    expand: (path: string): string[] => (path.startsWith('OUT') ? above(replace(path)) : [path]),
  }
}

/** `a/b/c` → a, a/b, a/b/c */
function above(path: string): string[] {
  return path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'))
}
