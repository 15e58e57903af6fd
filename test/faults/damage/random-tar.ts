/** Random layer tars with everything that a layer may have, and things that no file system takes unchanged. */
import { type CodeEntry, tarOf } from '../../../fixtures/docker-archive.js'
import type { Random } from '../../conformance/random.js'

const NAMES = ['a', 'b', 'c', 'dir', 'caf\u00e9', 'x y', 'a-b', '.hidden', 'n'.repeat(120)]
const CONTENTS = [
  '',
  'short\n',
  'x'.repeat(5_000),
  // Runs of zeros become holes.
  Buffer.alloc(200_000),
  Buffer.concat([Buffer.from('begin'), Buffer.alloc(1_200_000), Buffer.from('end')]),
]
const TIMES = [0, 1, 1_000_000_000_000, 1_700_000_000_123, 4_200_000_000_000].map((at) => new Date(at))
const MODES = [0o644, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0]
const OWNERS = [0, 1, 1000, 65_534, 2_000_000]
const PAX: readonly Readonly<Record<string, string>>[] = [
  {},
  {},
  { 'SCHILY.xattr.user.key': 'value' },
  { 'SCHILY.xattr.trusted.key': 'value' },
  { 'SCHILY.xattr.user.empty': '' },
  { mtime: '1600000000.123456789' },
  { mtime: '-5.5' },
  // Attributes that a file system refuses are left out with a notice.
  { 'SCHILY.xattr.com.example.other': 'value' },
  { 'SCHILY.xattr.system.unheard-of': 'value' },
  { 'SCHILY.xattr.user.big': 'v'.repeat(60_000) },
]

/** Some entries replace others, or delete files that lower layers may have. */
export async function randomTar(random: Random): Promise<Buffer> {
  const directories = ['']
  const files: string[] = []
  const entries: CodeEntry[] = []
  const count = random.below(12)
  for (let i = 0; i < count; i++) {
    const parent = random.pick(directories)
    const name = `${parent}${random.pick(NAMES)}`
    // A directory must stay one, since later entries may be in it.
    if (directories.includes(`${name}/`)) continue
    const entry = randomEntry(name, { parent, files, random })
    if (entry.header.name.endsWith('/')) {
      if (files.includes(name)) continue
      directories.push(entry.header.name)
    } else if (entry.header.type === undefined && !name.includes('.wh.')) files.push(name)
    entries.push(entry)
  }
  return tarOf(entries)
}

interface Around {
  readonly parent: string
  /** Regular files of earlier entries. */
  readonly files: readonly string[]
  readonly random: Random
}

function randomEntry(name: string, { parent, files, random }: Around): CodeEntry {
  const common = {
    mode: random.pick(MODES),
    uid: random.pick(OWNERS),
    gid: random.pick(OWNERS),
    mtime: random.pick(TIMES),
    pax: random.pick(PAX),
  }
  switch (random.below(12)) {
    case 0:
    case 1:
      return { header: { ...common, name: `${name}/` } }
    case 2:
      return {
        header: { ...common, name, type: 'symlink', linkname: random.pick(['a', '../b', '/etc/passwd']) },
      }
    case 3:
      if (files.length === 0 || files.includes(name)) break
      return { header: { name, type: 'link', linkname: random.pick(files) } }
    case 4:
      return { header: { ...common, name, type: 'character-device', devmajor: 1, devminor: random.below(9) } }
    case 5:
      return { header: { ...common, name, type: 'fifo' } }
    case 6:
      return { header: { name: `${parent}.wh.${random.pick(NAMES)}` }, content: '' }
    case 7:
      return { header: { name: `${parent}.wh..wh..opq` }, content: '' }
  }
  return { header: { ...common, name }, content: random.pick(CONTENTS) }
}
