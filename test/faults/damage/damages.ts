/** Damage as data: a change of a layer's directory, and what a check of every byte reports. */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { makeNode, removeAttribute, setAttribute, setTime } from '../../support/libc.js'

export interface Damage {
  readonly title: string
  /** Index of the layer in the image, from the base up; default: the base. */
  readonly layer?: number
  plant(directory: string): void
  /** What the check reports, on every backend. */
  readonly says: RegExp
  /** A check without `data` finds it too. */
  readonly quick?: true
}

/** Flips a bit of the byte at `at` and restores the file's time, as a faulty disk would. */
export function flipBit(path: string, at: number, bit: number): void {
  const fd = openSync(path, 'r+')
  try {
    const byte = Buffer.alloc(1)
    readSync(fd, byte, 0, 1, at)
    byte[0] = (byte[0] ?? 0) ^ (1 << bit)
    writeSync(fd, byte, 0, 1, at)
  } finally {
    closeSync(fd)
  }
}

const inBig = (work: (path: string) => void) => (directory: string) => {
  const path = join(directory, 'etc/big')
  work(path)
  setTime(Buffer.from(path), 1_000_000_000_000_000n)
}

export const DAMAGES: readonly Damage[] = [
  {
    title: 'a bit in the middle',
    plant: inBig((path) => flipBit(path, 400_001, 5)),
    says: /\/etc\/big: .*content has changed/,
  },
  { title: 'the first bit', plant: inBig((path) => flipBit(path, 0, 7)), says: /\/etc\/big/ },
  { title: 'the last bit', plant: inBig((path) => flipBit(path, 699_999, 0)), says: /\/etc\/big/ },
  { title: 'truncated', plant: inBig((path) => truncateSync(path, 65_536)), says: /65536 bytes, not 700000/ },
  { title: 'emptied', plant: inBig((path) => truncateSync(path, 0)), says: /0 bytes, not 700000/ },
  { title: 'longer', plant: inBig((path) => appendFileSync(path, 'more')), says: /700004 bytes/ },
  {
    title: 'a block of zeros',
    plant: inBig((path) => {
      const fd = openSync(path, 'r+')
      writeSync(fd, Buffer.alloc(4096), 0, 4096, 8192)
      closeSync(fd)
    }),
    says: /\/etc\/big/,
  },
  {
    title: 'a file is missing',
    plant: (at) => unlinkSync(join(at, 'etc/deep/file')),
    says: /\/etc\/deep\/file: is missing/,
  },
  {
    title: 'an empty file is missing',
    plant: (at) => unlinkSync(join(at, 'etc/empty')),
    says: /\/etc\/empty: is missing/,
  },
  {
    title: 'a directory is missing',
    plant: (at) => rmSync(join(at, 'etc/deep'), { recursive: true }),
    says: /\/etc\/deep: is missing/,
  },
  {
    title: 'all files are missing',
    plant: (at) => rmSync(join(at, 'etc'), { recursive: true }),
    says: /\/etc: is missing/,
  },
  {
    title: 'an extra file',
    plant: (at) => writeFileSync(join(at, 'etc/extra'), 'extra'),
    says: /\/etc\/extra: should not be there/,
  },
  {
    title: 'an extra directory, full',
    plant(at) {
      mkdirSync(join(at, 'extra/more'), { recursive: true })
      writeFileSync(join(at, 'extra/more/file'), 'extra')
    },
    says: /\/extra\/more\/file: should not be there/,
  },
  {
    title: 'another mode',
    plant: (at) => chmodSync(join(at, 'etc/deep/file'), 0o600),
    says: /its mode is 600, not 644/,
  },
  {
    title: 'a setuid bit lost',
    plant: (at) => chmodSync(join(at, 'etc/setuid'), 0o755),
    says: /its mode is 755, not 4755/,
  },
  {
    title: "a directory's mode",
    plant: (at) => chmodSync(join(at, 'etc/deep'), 0o777),
    says: /its mode is 777, not 750/,
  },
  {
    title: 'another owner',
    plant: (at) => chownSync(join(at, 'etc/deep/file'), 5, 6),
    says: /its owner is 5:6/,
  },
  {
    title: 'an owner lost with the setuid bit',
    plant: (at) => chownSync(join(at, 'etc/setuid'), 0, 0),
    says: /its owner is 0:0, not 1:2/,
  },
  {
    title: 'another time',
    plant: (at) => utimesSync(join(at, 'etc/deep/file'), 5, 5),
    says: /its time is 5\.0/,
  },
  {
    title: "a directory's time",
    plant: (at) => utimesSync(join(at, 'etc/deep'), 5, 5),
    says: /\/etc\/deep: its time is 5\.0/,
  },
  {
    title: 'an attribute is gone',
    plant: (at) => removeAttribute(Buffer.from(join(at, 'etc/attributes')), 'user.key'),
    says: /\/etc\/attributes: its extended attributes differ/,
  },
  {
    title: 'an attribute changed',
    plant: (at) => setAttribute(Buffer.from(join(at, 'etc/attributes')), 'user.key', 'other'),
    says: /its extended attributes differ/,
  },
  {
    title: 'an extra attribute on a directory',
    plant: (at) => setAttribute(Buffer.from(join(at, 'etc/deep')), 'user.more', 'x'),
    says: /\/etc\/deep: its extended attributes differ/,
  },
  {
    title: 'a file became a directory',
    plant(at) {
      unlinkSync(join(at, 'etc/deep/file'))
      mkdirSync(join(at, 'etc/deep/file/inner'), { recursive: true })
    },
    says: /\/etc\/deep\/file: its type is directory, not file/,
  },
  {
    title: 'a directory became a file',
    plant(at) {
      rmSync(join(at, 'etc/deep'), { recursive: true })
      writeFileSync(join(at, 'etc/deep'), 'a file')
    },
    says: /\/etc\/deep: its type is file, not directory/,
  },
  {
    title: 'a directory became a symlink that leads out',
    plant(at) {
      renameSync(join(at, 'etc/deep'), join(at, 'moved'))
      symlinkSync('/etc', join(at, 'etc/deep'))
    },
    says: /\/etc\/deep: its type is symlink, not directory/,
  },
  {
    title: 'a symlink with another target',
    plant(at) {
      unlinkSync(join(at, 'etc/link'))
      symlinkSync('/etc/passwd', join(at, 'etc/link'))
    },
    says: /\/etc\/link: its target is \/etc\/passwd, not big/,
  },
  {
    title: 'another device',
    plant(at) {
      unlinkSync(join(at, 'etc/device'))
      makeNode(Buffer.from(join(at, 'etc/device')), 0o020644, 1, 5)
    },
    says: /\/etc\/device: its device is 1:5, not 1:3/,
  },
  {
    title: 'a pipe is missing',
    plant: (at) => unlinkSync(join(at, 'etc/pipe')),
    says: /\/etc\/pipe: is missing/,
  },
  {
    title: 'a hard link became a separate file',
    plant(at) {
      const stat = 1_000_000_000_000_000n
      unlinkSync(join(at, 'etc/two'))
      writeFileSync(join(at, 'etc/two'), 'one and two\n')
      chmodSync(join(at, 'etc/two'), 0o644)
      for (const name of ['etc/two', 'etc/one']) setTime(Buffer.from(join(at, name)), stat)
    },
    says: /\/etc\/two: (is no longer a hard link of \/etc\/one|its time)/,
  },
  {
    title: 'two files became hard links',
    plant(at) {
      unlinkSync(join(at, 'etc/alone'))
      linkSync(join(at, 'etc/one'), join(at, 'etc/alone'))
    },
    says: /is a hard link of \/etc\/\w+, and should not be/,
  },
  {
    title: 'the whole layer is missing',
    plant: (at) => rmSync(at, { recursive: true }),
    says: /layer-(directory|seal)/,
    quick: true,
  },
]

/** Damage by which deleted files become visible again. */
export const MARKS: Readonly<Record<string, readonly Damage[]>> = {
  overlay: [
    {
      title: 'a whiteout is gone',
      layer: 2,
      plant: (at) => unlinkSync(join(at, 'srv/gone')),
      says: /layer-marks: .*\/srv\/gone: is deleted in this layer, but shows/,
      quick: true,
    },
    {
      title: 'an opaque marker is gone',
      layer: 2,
      plant: (at) => removeAttribute(Buffer.from(join(at, 'srv/cache')), 'trusted.overlay.opaque'),
      says: /layer-marks: .*\/srv\/cache: shows what the layer hides \(old\)/,
      quick: true,
    },
    {
      title: 'an extra whiteout',
      layer: 1,
      plant: (at) => makeNode(Buffer.from(join(at, 'etc')), 0o020000, 0, 0),
      says: /\/etc: is missing/,
    },
  ],
  vfs: copies(),
  btrfs: copies(),
}

function copies(): readonly Damage[] {
  return [
    {
      title: 'a deleted file is back',
      layer: 2,
      plant: (at) => writeFileSync(join(at, 'srv/gone'), 'gone\n'),
      says: /layer-marks: .*\/srv\/gone/,
      quick: true,
    },
    {
      title: 'a file of a hidden directory is back',
      layer: 2,
      plant: (at) => writeFileSync(join(at, 'srv/cache/old'), 'stale\n'),
      says: /layer-marks: .*\/srv\/cache: shows what the layer hides \(old\)/,
      quick: true,
    },
    {
      title: "a bit of a parent's file in a child's copy",
      layer: 2,
      plant: (at) => flipBit(join(at, 'etc/deep/file'), 2, 1),
      says: /\/etc\/deep\/file: its time is/,
    },
  ]
}
