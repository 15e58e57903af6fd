/**
 * Other tools as the judges: archives of GNU tar, bsdtar and Python are read as the trees on disk, and our archives are
 * unpacked to the same tree by GNU tar, bsdtar, Python and umoci (which uses Go's archive/tar, as every engine does).
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { extract } from 'tar-stream'
import { toBytes } from '../../../core/bytes.js'
import { createTarPacker } from '../../../core/tar/pack.js'
import { cleanPath } from '../../../core/tar/whiteout.js'
import { differences, snapshot } from '../../support/oracle.js'
import { type ReadEntry, readTar, sha256, unsparse } from './reading.js'
import { describeEntry, describeFile, env, type Keeps, makeTree, makeWild, root, run } from './tree.js'

let work = ''
before(() => {
  work = mkdtempSync(join(tmpdir(), 'varve-tar-'))
  makeTree(join(work, 'plain'))
  makeTree(join(work, 'wild'))
  makeWild(join(work, 'wild'))
})
after(() => rmSync(work, { recursive: true, force: true }))

interface Writer {
  readonly command: 'tar' | 'bsdtar'
  readonly args: readonly string[]
  readonly tree: 'plain' | 'wild'
  /** A name that the format can't hold. */
  readonly without?: string
  /** What the format can represent. */
  readonly keeps: Keeps
}

const WRITERS: readonly Writer[] = [
  { command: 'tar', args: ['--format=v7'], tree: 'plain', keeps: {}, without: 'fifo' },
  { command: 'tar', args: ['--format=oldgnu'], tree: 'wild', keeps: {} },
  { command: 'tar', args: ['--format=gnu', '-b1'], tree: 'wild', keeps: {} },
  { command: 'tar', args: ['--format=gnu', '--sparse'], tree: 'wild', keeps: { sparse: true } },
  { command: 'tar', args: ['--format=ustar'], tree: 'plain', keeps: {} },
  {
    command: 'tar',
    args: ['--format=posix', '--xattrs', '--xattrs-include=*'],
    tree: 'wild',
    keeps: { ns: true, xattrs: true },
  },
  ...['0.0', '0.1', '1.0'].map(
    (version): Writer => ({
      command: 'tar',
      args: ['--format=posix', `--sparse-version=${version}`, '-b2'],
      tree: 'wild',
      keeps: { ns: true, sparse: true },
    }),
  ),
  { command: 'bsdtar', args: ['--format=ustar'], tree: 'plain', keeps: {} },
  { command: 'bsdtar', args: ['--format=gnutar'], tree: 'plain', keeps: {} },
  {
    command: 'bsdtar',
    args: ['--format=pax', '--xattrs'],
    tree: 'wild',
    keeps: { ns: true, xattrs: true, sparse: true },
  },
]

describe('archives of other tools', () => {
  for (const { command, args, tree, keeps, without } of WRITERS) {
    test(`${command} ${args.join(' ')}`, (t) => {
      if (!installed(command)) return t.skip(`${command} is not installed`)
      const source = join(work, tree)
      const leaveOut = without === undefined ? [] : [`--exclude=./${without}`]
      const tar = execFileSync(command, [...args, ...leaveOut, '-c', '-f', '-', '-C', source, '.'], {
        env,
        maxBuffer: 1 << 28,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const found = readTar(tar, [10240, 77])
      const wanted = snapshot(source)
      if (without !== undefined) wanted.delete(without)
      const names = new Map(found.map((read) => [cleanPath(read.entry.path), read]))
      assert.deepEqual([...names.keys()].sort(), [...wanted.keys()].sort())
      for (const [path, { entry }] of names) {
        const first = entry.type === 'link' ? names.get(cleanPath(entry.linkname)) : names.get(path)
        assert.ok(first, entry.linkname)
        assert.equal(describeEntry(first, source, path, keeps), describeFile(source, path, keeps), path)
        if (keeps.xattrs && first.entry.type !== 'symlink') {
          const line = wanted.get(path) ?? ''
          for (const [name, value] of first.entry.xattrs)
            assert.ok(line.includes(xattrLine(name, value)), `${line}: ${name}`)
          assert.equal((line.match(/ (?:user|security)\.[^ ]*/g) ?? []).length, first.entry.xattrs.size, line)
        }
      }
      if (keeps.sparse) {
        const sparse = found.filter(({ entry }) => entry.sparse !== undefined)
        assert.ok(sparse.length >= 2, 'sparse files are sparse entries')
        for (const { entry } of sparse) assert.ok(entry.stored < entry.size / 2, entry.path)
      }
    })
  }

  test('Python writes archives that we read', (t) => {
    if (!installed('python3')) return t.skip('python3 is not installed')
    const script = `
import sys, tarfile
for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    with tarfile.open(sys.argv[1] + "." + str(form), "w", format=form, pax_headers={"comment": "x"} if form == 2 else None) as t:
        t.add(sys.argv[2], arcname=".")
`
    execFileSync('python3', ['-c', script, join(work, 'python.tar'), join(work, 'plain')], { env })
    for (const [form, keeps] of [
      [0, {}],
      [1, {}],
      [2, {}],
    ] as const) {
      const source = join(work, 'plain')
      const found = readTar(readFileSync(join(work, `python.tar.${form}`)))
      const names = new Map(found.map((read) => [cleanPath(read.entry.path), read]))
      assert.deepEqual([...names.keys()].sort(), [...snapshot(source).keys()].sort())
      for (const [path, { entry }] of names) {
        const first = entry.type === 'link' ? names.get(cleanPath(entry.linkname)) : names.get(path)
        assert.ok(first)
        assert.equal(describeEntry(first, source, path, keeps), describeFile(source, path, keeps), path)
      }
    }
  })
})

describe('what we pack', () => {
  const repacked = (): { tar: Buffer; file: string } => {
    const args = ['--format=posix', '--sparse', '--xattrs', '--xattrs-include=*', '--sort=name']
    const source = execFileSync('tar', [...args, '-c', '-f', '-', '-C', join(work, 'wild'), '.'], {
      env,
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const tar = pack(readTar(source))
    const file = join(work, 'packed.tar')
    writeFileSync(file, tar)
    return { tar, file }
  }

  const UNPACKERS: readonly (readonly [string, (file: string, to: string) => void])[] = [
    [
      'tar',
      (file, to) => {
        const args = [
          '--xattrs',
          '--xattrs-include=*',
          '--numeric-owner',
          '-p',
          ...(root ? ['--same-owner'] : []),
        ]
        run('tar', ['-x', ...args, '-f', file, '-C', to])
      },
    ],
    [
      'bsdtar',
      (file, to) => run('bsdtar', ['-x', '-p', '--xattrs', '--numeric-owner', '-f', file, '-C', to]),
    ],
    [
      'umoci',
      (file, to) => {
        const layout = join(work, 'layout')
        run('umoci', ['init', '--layout', layout])
        run('umoci', ['new', '--image', `${layout}:t`])
        run('umoci', ['raw', 'add-layer', '--image', `${layout}:t`, file])
        rmSync(to, { recursive: true })
        run('umoci', ['raw', 'unpack', ...(root ? [] : ['--rootless']), '--image', `${layout}:t`, to])
      },
    ],
  ]
  for (const [command, unpack] of UNPACKERS) {
    test(`is unpacked by ${command} to the same tree`, (t) => {
      if (!installed(command)) return t.skip(`${command} is not installed`)
      const { file } = repacked()
      const to = join(work, `by-${command}`)
      mkdirSync(to)
      unpack(file, to)
      // bsdtar does not set the time of the directory that it unpacks into.
      const options = { timeless: new Set(command === 'bsdtar' ? [''] : []) }
      const wanted = snapshot(join(work, 'wild'), options)
      // Go's reader drops attributes that are empty.
      if (command === 'umoci') wanted.set('block', wanted.get('block')?.replace(' user.empty=0x', '') ?? '')
      assert.deepEqual(differences(wanted, snapshot(to, options)), [])
    })
  }

  test('GNU tar lists it without complaint, except about a keyword', () => {
    const { tar, file } = repacked()
    const listed = spawnSync('tar', ['-tv', '--numeric-owner', '--full-time', '-f', file], {
      env,
      encoding: 'latin1',
    })
    // The keyword is from POSIX, and marks a name that is not UTF-8.
    assert.equal(listed.stderr, "tar: Ignoring unknown extended header keyword 'hdrcharset'\n")
    assert.equal(listed.stdout.trimEnd().split('\n').length, readTar(tar).length)
  })

  test('Python reads the same', (t) => {
    if (!installed('python3')) return t.skip('python3 is not installed')
    const script = `
import sys, tarfile, hashlib, json
out = []
b = lambda s: s.encode("utf-8", "surrogateescape").decode("latin1")
with tarfile.open(sys.argv[1], encoding="utf-8", errors="surrogateescape") as t:
    for m in t:
        content = hashlib.sha256(t.extractfile(m).read()).hexdigest() if m.isreg() else ""
        out.append([b(m.name), b(m.linkname), m.mode, m.uid, m.gid, m.size, content])
print(json.dumps(out))
`
    const { tar, file } = repacked()
    const theirs = JSON.parse(execFileSync('python3', ['-c', script, file], { env, encoding: 'utf8' }))
    const ours = readTar(tar).map((read) => {
      const { path, linkname, mode, uid, gid, size, type } = read.entry
      const content = type === 'file' ? sha256(unsparse(read)).toString('hex') : ''
      return [path.replace(/(?<=.)\/$/, ''), linkname, mode, uid, gid, size, content]
    })
    assert.deepEqual(theirs, ours)
  })

  test('tar-stream reads the same, as far as it reads correctly', async () => {
    // It supports neither sparse files nor names that are not UTF-8, nor PAX ids.
    const known = ({ entry }: ReadEntry) =>
      entry.sparse === undefined &&
      !toBytes(entry.path).toString('utf8').includes('\ufffd') &&
      Math.max(entry.uid, entry.gid) < 2 ** 21
    const ours = readTar(repacked().tar).filter(known)
    const parser = extract()
    const theirs: unknown[] = []
    parser.end(pack(ours))
    for await (const entry of parser) {
      const parts: Buffer[] = []
      for await (const part of entry) parts.push(part as Buffer)
      const { name, linkname, mode, uid, gid, size } = entry.header
      theirs.push([
        Buffer.from(name).toString('latin1'),
        linkname ?? '',
        mode,
        uid,
        gid,
        size,
        sha256(Buffer.concat(parts)).toString('hex'),
      ])
    }
    assert.deepEqual(
      theirs,
      ours.map(({ entry, payload }) => [
        entry.path,
        entry.linkname,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        sha256(payload).toString('hex'),
      ]),
    )
  })
})

function pack(entries: readonly ReadEntry[]): Buffer {
  const out: Buffer[] = []
  const packer = createTarPacker((bytes) => out.push(Buffer.from(bytes)))
  for (const { entry, payload } of entries) {
    packer.entry(entry)
    packer.payload(payload)
  }
  packer.end()
  return Buffer.concat(out)
}

function xattrLine(name: string, value: string): string {
  return `${name}=0x${Buffer.from(value, 'latin1').toString('hex')}`
}

function installed(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).error === undefined
}
