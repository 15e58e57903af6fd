/**
 * Every error looks the same: a status other than 0, one message that says what, where and what to do, and an unchanged
 * store.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import Sqlite from 'better-sqlite3'
import { CLI, type Ran, type Varve, varveAt } from '../support/varve.js'
import {
  type Content,
  createBlobs,
  digestOfBytes,
  dockerContent,
  type ImageParts,
  imageOf,
  layerTar,
  ociContent,
  TYPES,
  tarOf,
} from '../unit/formats/build.js'

const work = mkdtempSync(join(tmpdir(), 'varve-bad-'))
const varve = varveAt(join(work, 'root'), 'vfs')

const GOOD = imageOf([layerTar('good')])
/** Layers that are not in the store, so that a partial import would show. */
const LAYERS = [layerTar('one', 9000), layerTar('two', 5000)] as const
const IMAGE = imageOf(LAYERS)

before(async () => {
  mkdirSync(varve.root, { mode: 0o700 })
  await varve.varve('import', file('good.tar', tarOf(dockerContent([{ ...GOOD, tags: ['good:1'] }]))))
})
after(() => rmSync(work, { recursive: true, force: true }))

const TEXT = Buffer.from('no tar\n'.repeat(200))

interface Case {
  readonly title: string
  /** The arguments of `import`, made in a directory for the case. */
  readonly source: (folder: string) => readonly string[]
  readonly status: number
  /** Matches the message, in addition to the file's name. */
  readonly says: RegExp
}

const one = (content: Buffer | string, name = 'input') => {
  return (folder: string) => [put(folder, name, content)]
}
const layer = (content: Buffer) => (folder: string) => ['--layer', put(folder, 'input', content)]

const IMPORTS: readonly Case[] = [
  { title: 'an empty file', source: one(''), status: 2, says: /empty/ },
  { title: 'no such file', source: (folder) => [join(folder, 'input')], status: 3, says: /no such file/ },
  { title: 'an empty folder', source: folder({}), status: 2, says: /no image in it/ },
  { title: 'text', source: one('not an archive\n'.repeat(100)), status: 2, says: /not a tar archive/ },
  { title: 'text as a layer', source: layer(TEXT), status: 2, says: /not a tar archive: its first/ },
  { title: 'short text as a layer', source: layer(TEXT.subarray(0, 99)), status: 2, says: /only 99 bytes/ },
  { title: 'an empty file as a layer', source: layer(Buffer.alloc(0)), status: 2, says: /empty/ },
  { title: 'text in gzip', source: one(gzipSync(TEXT)), status: 2, says: /not a tar archive/ },
  { title: 'text in gzip as a layer', source: layer(gzipSync(TEXT)), status: 2, says: /no.* tar .*gzip/ },
  { title: 'text in zstd as a layer', source: layer(zstd(TEXT)), status: 2, says: /no.* tar .*zstd/ },
  {
    title: 'text in damaged gzip as a layer',
    source: layer(damaged(gzipSync(TEXT))),
    status: 9,
    says: /gzip/,
  },
  {
    title: 'a truncated tar as a layer',
    source: layer(LAYERS[0].subarray(0, 1300)),
    status: 9,
    says: /cut off|ends/,
  },
  {
    title: 'a device',
    source: () => ['/dev/zero'],
    status: 2,
    says: /\/dev\/zero: is a device, not an archive/,
  },
  { title: 'a device as a layer', source: () => ['--layer', '/dev/zero'], status: 2, says: /is a device/ },
  { title: 'a layer where an image is wanted', source: one(LAYERS[0]), status: 2, says: /import --layer/ },
  { title: 'bad gzip', source: layer(damaged(gzipSync(LAYERS[0]))), status: 9, says: /gzip/ },
  { title: 'gzip cut off', source: layer(gzipSync(LAYERS[0]).subarray(0, -4)), status: 9, says: /gzip|cut/ },
  { title: 'an archive in bad gzip', source: one(damaged(gzipSync(archive()))), status: 9, says: /gzip/ },
  { title: 'bad zstd', source: layer(damaged(zstd(LAYERS[0]))), status: 9, says: /zstd/ },
  { title: 'zstd cut off', source: layer(zstd(LAYERS[0]).subarray(0, -3)), status: 9, says: /zstd|cut/ },
  {
    title: 'bzip2',
    source: layer(Buffer.from('BZh91AY&SY...........')),
    status: 7,
    says: /bzip2.*(gzip|zstd)/,
  },
  { title: 'a bad tar checksum', source: one(docker([badChecksum()])), status: 9, says: /checksum/ },
  {
    title: 'a layer with another digest',
    source: one(archive({ ...IMAGE, config: configOf([digestOfBytes('x'), digestOfBytes(LAYERS[1])]) })),
    status: 9,
    says: /digest|sha256:/,
  },
  {
    title: 'a blob with another digest',
    source: folder(withBadBlob()),
    status: 9,
    says: /digest|sha256:/,
  },
  { title: 'a missing blob', source: folder(withoutBlob()), status: 9, says: /blob/ },
  {
    title: 'a missing layer',
    source: one(tarOf(without(dockerContent([{ ...IMAGE }]), /layer\.tar$/))),
    status: 9,
    says: /layer\.tar/,
  },
  {
    title: 'too few diff_ids',
    source: one(archive({ ...IMAGE, config: configOf([digestOfBytes(LAYERS[0])]) })),
    status: 2,
    says: /1 diff_ids for 2 layers/,
  },
  {
    title: 'a .. in a path',
    source: one(docker([tarOf({ 'a/../../escape': 'x' })])),
    status: 2,
    says: /escape.*\.\./,
  },
  {
    title: 'a layer of an unknown media type',
    source: folder(withMediaType('application/x-unheard-of')),
    status: 7,
    says: /application\/x-unheard-of/,
  },
  {
    title: 'a layer of an unknown compression',
    source: folder(withMediaType(`${TYPES.tar}+br`)),
    status: 7,
    says: /br/,
  },
  {
    title: 'no such platform',
    source: (dir) => [...folder(withPlatform())(dir), '--platform', 'plan9/mips'],
    status: 3,
    says: /plan9\/mips.*linux\/s390x/,
  },
  {
    title: 'an invalid platform',
    source: (dir) => [...one(archive())(dir), '--platform', 'linux'],
    status: 2,
    says: /linux.*os\/arch/,
  },
  {
    title: 'an invalid name',
    source: (dir) => [...one(archive())(dir), '--name', 'UPPER CASE'],
    status: 2,
    says: /UPPER CASE/,
  },
]

for (const { title, source, status, says } of IMPORTS) {
  test(`import refuses ${title}`, async () => {
    const dir = mkdtempSync(join(work, 'case-'))
    await refused(['import', ...source(dir)], { status, says })
    assert.ok(!existsSync(join(work, 'escape')))
  })
}

test('import refuses an archive and a layer that are cut off, at 50 places', async () => {
  // The documents come first, so that the layers are cut too.
  const content = Object.fromEntries(Object.entries(dockerContent([{ ...IMAGE, tags: ['cut:1'] }])).reverse())
  const whole: readonly (readonly [bytes: Buffer, words: readonly string[]])[] = [
    [tarOf(content), ['import']],
    [gzipSync(LAYERS[0]), ['import', '--layer']],
  ]
  for (const [bytes, words] of whole) {
    for (let cut = 1; cut <= 25; cut++) {
      const input = put(work, 'cut', bytes.subarray(0, Math.floor((bytes.length * cut) / 26)))
      await refused([...words, input], { says: /./, checked: cut === 25 })
    }
  }
})

test('an unknown reference is refused, with a suggestion', async () => {
  const cases: readonly (readonly [line: string, status: number, says: RegExp])[] = [
    ['inspect goood:1', 3, /goood:1.*"good:1"/],
    ['inspect ', 2, /empty(?!.*did you mean)/],
    ['export  -o -', 2, /empty/],
    ['diff good:1 ', 2, /empty/],
    ['export goood:1 -o -', 3, /goood:1.*"good:1"/],
    ['export --layer sha256:0123 -o -', 3, /sha256:0123/],
    ['ls good:1#7', 3, /layer 7.*good:1/],
    ['cat good:1 /no/file', 3, /\/no\/file/],
    ['cat good:1 /etc', 2, /\/etc/],
    ['ls good:1 /no/folder', 3, /\/no\/folder/],
    ['diff good:1 nonsense', 3, /nonsense/],
    ['create --parent goood:1', 3, /good:1/],
    ['create --id ../x', 2, /\.\.\/x/],
    ['create --opt sizze=1G', 2, /sizze/],
    ['mount nothing', 3, /nothing/],
    ['umount nothing', 3, /nothing/],
    ['commit nothing', 3, /nothing/],
    ['commit good:1#0', 5, /good:1#0|[0-9a-f]{12}/],
    ['tag good:1 BAD', 2, /BAD/],
    ['rm nothing', 3, /nothing/],
    ['rm good:1#0', 5, /good:1/],
    ['images --driver vsf', 2, /vsf.*"vfs"/],
    ['images --storage-opt nonsense=1', 2, /nonsense/],
    ['images --storage-opt nonsense', 2, /nonsense.*KEY=VALUE|KEY=VALUE.*nonsense/],
    ['imagess', 2, /imagess.*"images"/],
    ['images --jsson', 2, /--jsson.*"--json"/],
    ['export good:1 --format ocy-layout', 2, /ocy-layout.*"oci-layout"/],
  ]
  for (const [line, status, says] of cases) await refused(line.split(' '), { status, says, checked: false })
  await refused(['inspect', 'goood:1'], { status: 3, says: /good:1/ })
})

test('with --json the error message is an object', async () => {
  const { status, stdout, stderr } = await varve.attempt(['--json', 'inspect', 'goood:1'])
  assert.equal(status, 3)
  assert.equal(stdout, '')
  const { error } = JSON.parse(stderr) as { error: { code: string; message: string } }
  assert.equal(error.code, 'NOT_FOUND')
  assert.match(error.message, /good:1/)
})

test('an ambiguous prefix is refused, with what it may mean', async () => {
  const [first, second] = twoAlike()
  for (const bytes of [first, second]) await varve.varve('import', '--layer', put(work, 'alike', bytes))
  const prefix = digestOfBytes(first).slice(7, 9)
  await refused(['inspect', prefix], {
    status: 2,
    says: new RegExp(`${prefix}.*${digestOfBytes(second).slice(7, 15)}`, 's'),
  })
})

test('an export that can not be written leaves nothing', async () => {
  const missing = join(work, 'nowhere', 'x.tar')
  await refused(['export', 'good:1', '-o', missing], { status: 3, says: /nowhere/ })
  await refused(['export', '--layer', 'good:1#0', '-o', missing], { status: 3, says: /nowhere/ })
  const full = join(work, 'full')
  mkdirSync(full)
  writeFileSync(join(full, 'x'), '')
  await refused(['export', 'good:1', '-o', full, '--format', 'oci-layout'], { status: 4, says: /not empty/ })
  await refused(['export', 'good:1', '-o', full], { status: 2, says: /directory/ })
  await refused(
    ['export', 'good:1', '--format', 'docker-archive', '--compress', 'zstd', '-o', join(full, 'y')],
    {
      status: 2,
      says: /zstd/,
    },
  )
  assert.deepEqual(readdirSync(full), ['x'])
})

test('a database that is newer, damaged or not one is refused, and left unchanged', async () => {
  const database = join(varve.root, 'varve.db')
  const kept = put(work, 'kept.db', readFileSync(database))
  const damage: readonly (readonly [status: number, says: RegExp, spoil: () => void])[] = [
    [5, /newer.*upgrade/s, () => sqlite((db) => db.pragma('user_version = 999'))],
    [5, /not a database of varve/, () => sqlite((db) => db.pragma('application_id = 7'))],
    [9, /varve\.db/, () => overwrite(database, 0, Buffer.alloc(100, 'x'))],
    [9, /varve\.db/, () => overwrite(database, 4096, Buffer.alloc(statSync(database).size - 4096, 0xa5))],
    [9, /varve\.db/, () => writeFileSync(database, 'this was a database once\n'.repeat(1000))],
  ]
  for (const [status, says, spoil] of damage) {
    spoil()
    const spoiled = readFileSync(database)
    const files = tree()
    oneMessage(await varve.attempt(['layers']), { status, says })
    oneMessage(await varve.attempt(['import', put(work, 'more.tar', archive())]), { status, says })
    assert.deepEqual(readFileSync(database), spoiled)
    assert.deepEqual(tree(), files)
    for (const rest of ['-wal', '-shm']) rmSync(database + rest, { force: true })
    copyFileSync(kept, database)
  }
  await clean(varve)
})

test('an unusable root is refused, and nothing is created there', async (t) => {
  const folder = mkdtempSync(join(work, 'roots-'))
  const notDirectory = put(folder, 'file', '')
  const cases: readonly (readonly [root: string, status: number, says: RegExp])[] = [
    [join(folder, 'missing', 'root'), 5, /missing/],
    [notDirectory, 5, /file.*not a directory/],
    [join(notDirectory, 'root'), 5, /file/],
  ]
  for (const [root, status, says] of cases) {
    oneMessage(await varveAt(root, 'vfs').attempt(['images']), { status, says })
  }
  oneMessage(await varveAt(join(folder, 'root'), 'btrfs').attempt(['images']), { status: 5, says: /btrfs/ })
  assert.deepEqual(readdirSync(folder), ['file'])
  for (const inside of [[], ['mnt', 'notes']]) {
    const root = join(folder, `there-${inside.length}`)
    mkdirSync(root)
    for (const name of inside) mkdirSync(join(root, name))
    chmodSync(root, 0o755)
    const ran = await varveAt(root, 'btrfs').attempt(['create'])
    oneMessage(ran, { status: 5, says: /btrfs/ })
    assert.deepEqual(readdirSync(root).sort(), inside)
    assert.equal(statSync(root).mode & 0o7777, 0o755)
    rmSync(root, { recursive: true })
  }
  const lost = join(folder, 'lost')
  for (const path of ['overlay/abc/diff', 'locks', 'mnt', 'tmp']) {
    mkdirSync(join(lost, path), { recursive: true, mode: 0o700 })
    const listed = await varveAt(lost, 'vfs').attempt(['--json', 'driver', 'ls'])
    assert.equal(listed.status, 0, listed.stderr)
    assert.match(listed.stderr, /holds layers of overlay, but its database has no memory of them/)
    const verdicts = listed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(verdicts.find(({ name }) => name === 'overlay').hasState, true)
    assert.ok(verdicts.every(({ selected }) => selected === false))
  }
  rmSync(lost, { recursive: true })
  if (process.getuid?.() !== 0) return t.skip('needs root')

  const readonly = join(folder, 'readonly')
  mkdirSync(readonly)
  await mounted(['-t', 'tmpfs', '-o', 'ro,mode=0700', 'varve-test', readonly], readonly, async () => {
    oneMessage(await varveAt(readonly, 'vfs').attempt(['images']), {
      status: 5,
      says: /readonly.*read-only/i,
    })
    oneMessage(await varveAt(join(readonly, 'r'), 'vfs').attempt(['images']), {
      status: 5,
      says: /read-only/i,
    })
  })
  const fixed = join(folder, 'fixed')
  mkdirSync(fixed)
  await mounted(['-t', 'proc', 'varve-test', fixed], fixed, async () => {
    oneMessage(await varveAt(fixed, 'overlay').attempt(['images']), { status: 5, says: /fixed/ })
  })
})

test('an overlay on an overlay is refused with the reason', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root')
  const folder = mkdtempSync(join(work, 'overlay-'))
  for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(folder, name))
  const options = [
    `lowerdir=${join(folder, 'lower')}`,
    `upperdir=${join(folder, 'upper')}`,
    `workdir=${join(folder, 'work')}`,
  ]
  const merged = join(folder, 'merged')
  await mounted(['-t', 'overlay', '-o', options.join(','), 'varve-test', merged], merged, async () => {
    const ran = await varveAt(join(merged, 'root'), 'overlay').attempt(['images'])
    oneMessage(ran, { status: 5, says: /overlay.*(overlay|wrong file system)/s })
    assert.deepEqual(readdirSync(merged), [])
  })
})

test('a user other than root gets an error that says so', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root, to run as another user')
  const folder = mkdtempSync(join(tmpdir(), 'varve-user-'))
  try {
    chmodSync(folder, 0o777)
    const nobody = (root: string, ...args: string[]): Ran => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, '--root', root, ...args], {
        uid: 65534,
        gid: 65534,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, HOME: folder },
      })
      return { status: status ?? 'none', stdout, stderr }
    }
    mkdirSync(join(folder, 'roots'), { mode: 0o700 })
    if (nobody(join(folder, 'mine'), 'images', '--help').status !== 0) {
      return t.skip('the file system of the build lets nobody but root read it')
    }
    oneMessage(nobody(join(folder, 'roots'), 'images'), { status: 5, says: /roots.*(root|permission)/is })
    oneMessage(nobody(join(folder, 'mine'), '--driver', 'overlay', 'images'), {
      status: 5,
      says: /overlay.*(root|permit)/is,
    })
    assert.ok(!existsSync(join(folder, 'mine')))
    const made = nobody(join(folder, 'mine'), '--driver', 'vfs', 'images')
    assert.equal(made.status, 0, made.stderr)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

for (const driver of ['overlay', 'vfs']) {
  test(`${driver}: a full disk is an error, and the partial import is removed`, async (t) => {
    if (process.getuid?.() !== 0) return t.skip('needs root')
    const small = mkdtempSync(join(work, 'small-'))
    await mounted(['-t', 'tmpfs', '-o', 'size=6m', 'varve-test', small], small, async () => {
      const store = varveAt(join(small, 'root'), driver)
      await store.varve('import', join(work, 'good.tar'))
      const was = snapshot(store)
      const big = tarOf({ 'a/': '', 'a/big': Buffer.alloc(8 * 1024 * 1024, 'varve') })
      const ran = await store.attempt(['import', '--layer', put(work, 'big.tar', big)])
      oneMessage(ran, { status: 8, says: /space/ })
      assert.deepEqual(snapshot(store), was)
      await clean(store)
      const small50 = docker([tarOf({ x: Buffer.alloc(1024 * 1024, 'y') }), big])
      oneMessage(await store.attempt(['import', put(work, 'big.tar', small50)]), { status: 8, says: /space/ })
      assert.deepEqual(snapshot(store), was)
      await clean(store)
    })
  })
}

test('two imports of the same image at once both succeed, and the work is done once', async () => {
  for (const driver of process.getuid?.() === 0 ? ['overlay', 'vfs'] : ['vfs']) {
    const store = varveAt(mkdtempSync(join(work, 'both-')), driver)
    const input = put(
      work,
      'both.tar',
      tarOf(
        dockerContent([
          { ...imageOf([layerTar('x', 3_000_000), layerTar('y', 3_000_000)]), tags: ['both:1'] },
        ]),
      ),
    )
    const results = await Promise.all(
      [1, 2, 3].map(() => store.json<{ newLayers: number; layers: number }>('import', input)),
    )
    const brought = results.flat().map(({ newLayers }) => newLayers)
    assert.equal(
      brought.reduce((sum, layers) => sum + layers, 0),
      2,
      `brought: ${brought}`,
    )
    assert.equal((await store.json('layers')).length, 2)
    assert.equal((await store.json('images')).length, 1)
    await clean(store)
  }
})

test('a damaged layer is reported, and the message says how to mend it', async () => {
  const store = varveAt(mkdtempSync(join(work, 'damage-')), 'vfs')
  const input = put(work, 'damage.tar', tarOf(dockerContent([{ ...IMAGE, tags: ['damaged:1'] }])))
  await store.varve('import', input)
  const [, { id } = { id: '' }] = await store.json<{ id: string }>('layers')
  writeFileSync(join(store.root, 'vfs/dir', id, 'etc/two'), Buffer.alloc(5000, 'x'))
  const exported = await store.attempt(['export', 'damaged:1', '-o', join(work, 'never.tar')])
  oneMessage(exported, {
    status: 9,
    says: /check --data.*remove the images that contain it \('varve rm'\) and import/,
  })
  await store.varve('rm', 'damaged:1')
  assert.match(await store.varve('import', input), /2 layers, all new/)
  assert.equal(await store.varve('check', '--data'), 'all is well\n')
})

interface Expected {
  readonly status?: number
  readonly says: RegExp
  /** Does `check` run too? Default: yes. */
  readonly checked?: boolean
}

/** The command fails as expected, and the store's rows and directories are unchanged. */
async function refused(args: readonly string[], expected: Expected): Promise<void> {
  const was = snapshot(varve)
  oneMessage(await varve.attempt(args), expected, args)
  assert.deepEqual(snapshot(varve), was, args.join(' '))
  if (expected.checked !== false) await clean(varve)
}

function oneMessage({ status, stderr }: Ran, expected: Expected, args: readonly string[] = []): void {
  const where = `${args.join(' ')}: ${status}: ${stderr}`
  assert.notEqual(status, 0, where)
  assert.notEqual(status, 1, where)
  if (expected.status !== undefined) assert.equal(status, expected.status, where)
  // One message. A usage line or the reasons of several drivers may follow, but no stack.
  assert.match(stderr, /^varve: [^\n]+\n(usage: [^\n]+\n| {2}[^\n]+\n)*$/, where)
  assert.doesNotMatch(stderr, /internal error|\n\s+at /, where)
  assert.match(stderr, expected.says, where)
}

async function clean(store: Varve): Promise<void> {
  const { status, stdout, stderr } = await store.attempt(['check', '--data'])
  assert.equal(status, 0, stdout + stderr)
}

/** The number of rows of each table, and the directories of the root, three levels deep. */
function snapshot(store: Varve) {
  const db = new Sqlite(join(store.root, 'varve.db'), { readonly: true })
  try {
    const tables = db
      .prepare<[], { name: string }>(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
      )
      .all()
    const rows = tables.map(({ name }) => [name, db.prepare(`SELECT count(*) AS rows FROM ${name}`).get()])
    return { rows, files: tree(store) }
  } finally {
    db.close()
  }
}

function tree(store: Varve = varve): readonly string[] {
  return readdirSync(store.root, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/^varve\.db-/.test(path))
    .sort()
}

/** Runs `use` with a mount. */
async function mounted(args: readonly string[], at: string, use: () => Promise<void>): Promise<void> {
  execFileSync('mount', [...args])
  try {
    await use()
  } finally {
    execFileSync('umount', [at])
  }
}

function put(folder: string, name: string, content: Buffer | string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function file(name: string, content: Buffer): string {
  return put(work, name, content)
}

function folder(content: Content) {
  return (dir: string) => {
    const input = join(dir, 'input')
    mkdirSync(input)
    for (const [path, bytes] of Object.entries(content)) {
      if (path.endsWith('/')) continue
      mkdirSync(dirname(join(input, path)), { recursive: true })
      writeFileSync(join(input, path), bytes)
    }
    return [input]
  }
}

function archive(image: ImageParts = IMAGE): Buffer {
  return tarOf(dockerContent([{ ...image, tags: ['bad:1'] }]))
}

function docker(layers: readonly Buffer[]): Buffer {
  return archive(imageOf(layers))
}

function configOf(diffIds: readonly string[]): Buffer {
  const { config } = imageOf([])
  const parsed = JSON.parse(config.toString()) as object
  return Buffer.from(JSON.stringify({ ...parsed, rootfs: { type: 'layers', diff_ids: diffIds } }))
}

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const middle = Math.floor(copy.length / 2)
  copy.fill(0x5a, middle, middle + 8)
  return copy
}

function zstd(bytes: Buffer): Buffer {
  return execFileSync('zstd', ['-q', '-c'], { input: bytes, stdio: ['pipe', 'pipe', 'inherit'] })
}

function badChecksum(): Buffer {
  const tar = Buffer.from(LAYERS[0])
  // The mode in the second header.
  tar.write('7', 512 + 105)
  return tar
}

function without(content: Content, pattern: RegExp): Content {
  return Object.fromEntries(Object.entries(content).filter(([path]) => !pattern.test(path)))
}

function withoutBlob(): Content {
  return without(ociContent(IMAGE), new RegExp(digestOfBytes(gzipSync(LAYERS[0])).slice(7)))
}

/** A plain layer of the right length with one changed byte in a file, which only the digest shows. */
function withBadBlob(): Content {
  const blobs = createBlobs()
  const layers = LAYERS.map((tar) => blobs.put(tar, TYPES.tar))
  const layout = blobs.layout([blobs.manifest(IMAGE, {}, { layers })])
  const bytes = Buffer.from(LAYERS[0])
  bytes.write('!', 1024 + 100)
  return { ...layout, [`blobs/sha256/${digestOfBytes(LAYERS[0]).slice(7)}`]: bytes }
}

function withMediaType(mediaType: string): Content {
  const blobs = createBlobs()
  const layers = LAYERS.map((tar) => blobs.put(tar, mediaType))
  return blobs.layout([blobs.manifest(IMAGE, {}, { layers })])
}

function withPlatform(): Content {
  const blobs = createBlobs()
  const platform = { os: 'linux', architecture: 's390x' }
  const manifest = blobs.manifest(imageOf(LAYERS, { architecture: 's390x' }), { platform })
  return blobs.layout([blobs.index([manifest])])
}

/** Two layers whose digests start with the same two digits. */
function twoAlike(): readonly [Buffer, Buffer] {
  const seen = new Map<string, Buffer>()
  for (let i = 0; ; i++) {
    const tar = tarOf({ [`alike-${i}`]: '' })
    const prefix = digestOfBytes(tar).slice(7, 9)
    const other = seen.get(prefix)
    if (other !== undefined) return [other, tar]
    seen.set(prefix, tar)
  }
}

function sqlite(use: (db: Sqlite.Database) => void): void {
  const db = new Sqlite(join(varve.root, 'varve.db'))
  use(db)
  db.pragma('wal_checkpoint(TRUNCATE)')
  db.close()
}

function overwrite(path: string, at: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+')
  writeSync(fd, bytes, 0, bytes.length, at)
  closeSync(fd)
}
