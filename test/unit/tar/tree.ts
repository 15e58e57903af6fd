/** Trees on disk that other tools pack and unpack, and a line that describes a file completely, on disk or in an archive. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { toBytes } from '../../../core/bytes.js'
import { type ReadEntry, sha256, unsparse } from './reading.js'

export const root = process.getuid?.() === 0
export const env = { ...process.env, LC_ALL: 'C.UTF-8' }

/** What an archive format can hold beyond the basics. */
export interface Keeps {
  readonly ns?: boolean
  readonly xattrs?: boolean
  readonly sparse?: boolean
}

const LONG = `${'long-directory-name-'.repeat(5)}x/${'long-file-name-'.repeat(8)}`

/** Creates a tree that even the poorest formats can hold. */
export function makeTree(dir: string): void {
  mkdirSync(join(dir, 'sub/empty'), { recursive: true })
  writeFileSync(join(dir, 'empty'), '')
  writeFileSync(join(dir, 'block'), Buffer.alloc(512, 'b'))
  writeFileSync(join(dir, 'sub/odd'), Buffer.alloc(70_001, 'odd'))
  linkSync(join(dir, 'sub/odd'), join(dir, 'sub/second-name'))
  symlinkSync('../nowhere', join(dir, 'sub/link'))
  run('mkfifo', [join(dir, 'fifo')])
  chmodSync(join(dir, 'sub/empty'), 0o1777)
  chmodSync(join(dir, 'block'), 0o4711)
  if (root) chownSync(join(dir, 'block'), 1234, 54321)
  for (const path of ['empty', 'block', 'sub/odd', 'sub/link', 'fifo'])
    lutimesSync(join(dir, path), 1e9, 1.2e9)
  for (const path of ['sub/empty', 'sub', '']) lutimesSync(join(dir, path), 1e9, 1.3e9)
}

/** Adds what they can't hold. */
export function makeWild(dir: string): void {
  mkdirSync(join(dir, LONG.slice(0, LONG.indexOf('/'))))
  writeFileSync(join(dir, LONG), 'long')
  symlinkSync(LONG.repeat(2), join(dir, 'long-link'))
  linkSync(join(dir, LONG), join(dir, 'long-hard-link'))
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from('bytes-\xff\xfe\n\\', 'latin1')]), 'bytes')
  writeFileSync(join(dir, 'Ünïcödé'), 'text')
  writeFileSync(join(dir, 'old'), 'x')
  lutimesSync(join(dir, 'old'), 1e9, -86400.25)
  if (root) {
    run('mknod', [join(dir, 'null'), 'c', '1', '3'])
    run('mknod', [join(dir, 'disk'), 'b', '4095', '1048575'])
    chownSync(join(dir, 'empty'), 2_500_000_000, 4_000_000_000)
  }
  // Holes at the start, between and at the end; many segments.
  const fd = openSync(join(dir, 'holes'), 'w')
  for (let i = 1; i <= 40; i++) writeSync(fd, Buffer.alloc(1000, i), 0, 1000, i * 65536)
  closeSync(fd)
  run('truncate', ['-s', '5000000', join(dir, 'holes')])
  run('truncate', ['-s', '3000001', join(dir, 'hole')])
  for (const [name, value] of [
    ['user.text', '0x61'],
    ['user.bytes', '0x000aff3d00'],
    ['user.empty', '0x'],
  ] as const) {
    run('setfattr', ['-n', name, '-v', value, join(dir, 'block')])
  }
  if (root)
    run('setfattr', [
      '-n',
      'security.capability',
      '-v',
      '0x0100000200200000000000000000000000000000',
      join(dir, 'old'),
    ])
}

export function describeEntry(
  { entry, ...read }: ReadEntry,
  dir: string,
  path: string,
  keeps: Keeps,
): string {
  const { type, mode, uid, gid, mtime, linkname } = entry
  const content = type === 'file' ? sha256(unsparse({ entry, ...read })).toString('hex') : ''
  const device = type === 'char' || type === 'block' ? `${entry.devMajor}:${entry.devMinor}` : ''
  const target = type === 'symlink' ? linkname : ''
  const time = BigInt(mtime.sec) * 1_000_000_000n + BigInt(mtime.nsec)
  return [
    dir,
    path,
    type,
    mode,
    uid,
    gid,
    entry.size,
    keeps.ns ? time : mtime.sec,
    content,
    device,
    target,
  ].join(' ')
}

export function describeFile(dir: string, path: string, keeps: Keeps): string {
  const file = Buffer.concat([Buffer.from(`${dir}/`), toBytes(path)])
  const stat = lstatSync(file, { bigint: true })
  const type = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'symlink'
        : stat.isFIFO()
          ? 'fifo'
          : stat.isBlockDevice()
            ? 'block'
            : 'char'
  const content = type === 'file' ? sha256(readFileSync(file)).toString('hex') : ''
  // makedev of glibc
  const devMajor = ((stat.rdev >> 8n) & 0xfffn) | ((stat.rdev >> 32n) & ~0xfffn)
  const devMinor = (stat.rdev & 0xffn) | ((stat.rdev >> 12n) & ~0xffn & 0xffffffffn)
  const device = type === 'char' || type === 'block' ? `${devMajor}:${devMinor}` : ''
  const target = type === 'symlink' ? readlinkSync(file, 'latin1') : ''
  const time = keeps.ns ? stat.mtimeNs : floorDiv(stat.mtimeNs)
  return [
    dir,
    path,
    type,
    stat.mode & 0o7777n,
    stat.uid,
    stat.gid,
    type === 'file' ? stat.size : 0,
    time,
    content,
    device,
    target,
  ].join(' ')
}

function floorDiv(ns: bigint): bigint {
  return (ns - (((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n
}

export function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
}
