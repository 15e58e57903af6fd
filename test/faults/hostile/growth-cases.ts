/** Layer tars that each have one quantity in large numbers: time must grow only as fast as the tar. */
import { END, file, header, pax } from '../../support/tar-bytes.js'
import { hardLinksReplaced } from './tar-cases.js'

export interface GrowthCase {
  readonly title: string
  /** A tar with this many of them. */
  tar(count: number): Buffer
  readonly count: number
  /** The tar of the layer below. */
  below?(count: number): Buffer
}

function many(count: number, each: (number: number) => Buffer): Buffer {
  return Buffer.concat([...Array.from({ length: count }, (_, number) => each(number)), END])
}
const dir = (name: string) => header({ name, type: '5', mode: 0o755 })
const link = (name: string, linkname: string) => header({ name, type: '2', linkname, mode: 0o777 })
const hard = (name: string, linkname: string) => header({ name, type: '1', linkname })
const named = (path: string, entry: Buffer) => Buffer.concat([pax([['path', path]]), entry])

export const GROWTH_CASES: readonly GrowthCase[] = [
  { title: 'entries', count: 4000, tar: (n) => many(n, (i) => file(`f${i}`, '')) },
  { title: 'directories', count: 2500, tar: (n) => many(n, (i) => dir(`d${i}/`)) },
  {
    title: 'deep paths',
    count: 6,
    tar: (n) => many(n, (i) => named(`${i}/${'a/'.repeat(700)}f`, file('f', 'x'))),
  },
  {
    title: 'hard links',
    count: 3000,
    tar: (n) => many(n, (i) => (i === 0 ? file('f0', 'x') : hard(`f${i}`, 'f0'))),
  },
  {
    title: 'hard links to the previous hard link',
    count: 3000,
    tar: (n) => many(n, (i) => (i === 0 ? file('f0', 'x') : hard(`f${i}`, `f${i - 1}`))),
  },
  { title: 'hard links that are replaced', count: 2000, tar: hardLinksReplaced },
  { title: 'entries of one name', count: 1500, tar: (n) => many(n, (i) => file('f', String(i))) },
  {
    title: 'directories that become files',
    count: 1200,
    tar: (n) => many(n, (i) => Buffer.concat([dir('d/'), file(`d/${i}`, ''), file('d', '')])),
  },
  {
    title: 'attributes of a global header, on symlinks',
    count: 1000,
    tar: (n) =>
      Buffer.concat([
        pax(
          Array.from({ length: 300 }, (_, i) => [`SCHILY.xattr.user.${i}`, ''] as const),
          'g',
        ),
        many(n, (i) => link(`l${i}`, 'x')),
      ]),
  },
  {
    title: 'extended headers',
    count: 2000,
    tar: (n) =>
      many(n, (i) => Buffer.concat([pax([['path', `a${i}`]]), pax([['path', `f${i}`]]), file('f', '')])),
  },
  {
    title: 'records of one extended header',
    count: 15_000,
    tar: (n) =>
      Buffer.concat([
        pax(Array.from({ length: n }, (_, i) => [`comment${i}`, 'x'] as const)),
        file('f', ''),
        END,
      ]),
  },
  {
    title: 'whiteouts',
    count: 1500,
    below: (n) => many(n, (i) => file(`f${i}`, '')),
    tar: (n) => many(n, (i) => file(`.wh.f${i}`, '')),
  },
  {
    title: 'opaque directories',
    count: 1000,
    below: (n) => many(n, (i) => dir(`d${i}/`)),
    tar: (n) => many(n, (i) => file(`d${i}/.wh..wh..opq`, '')),
  },
  {
    title: 'directories through symlinks',
    count: 800,
    tar: (n) =>
      Buffer.concat([
        dir('d/'),
        many(n, (i) => Buffer.concat([link(`l${i}`, 'd'), file(`l${i}/f${i}`, 'x')])),
      ]),
  },
  {
    title: 'segments of a sparse file',
    count: 20_000,
    tar(n) {
      const map = Array.from({ length: n }, (_, i) => `${i * 8192},1`).join(',')
      const records = [
        ['GNU.sparse.major', '0'],
        ['GNU.sparse.minor', '1'],
        ['GNU.sparse.size', String(n * 8192)],
        ['GNU.sparse.map', map],
      ] as const
      return Buffer.concat([pax(records), file('s', 'x'.repeat(n)), END])
    },
  },
  {
    title: 'long targets of symlinks',
    count: 1000,
    tar: (n) => many(n, (i) => Buffer.concat([pax([['linkpath', 'x'.repeat(3000)]]), link(`l${i}`, 'x')])),
  },
  { title: 'bytes', count: 8 << 20, tar: (n) => Buffer.concat([file('f', Buffer.alloc(n, 'x')), END]) },
]
