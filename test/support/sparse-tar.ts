/** A layer tar with a sparse entry. */
import { body, END, file, header, pax } from './tar-bytes.js'

/** Bytes of the sparse file. */
export const SPARSE_SIZE = 3 << 20

/** `d/f` is a file of 3 MiB with two bytes at 1 MiB, in PAX format 1.0. */
export function sparseTar(headerName: string): Buffer {
  const map = body(`2\n1048576\n2\n${SPARSE_SIZE}\n0\n`)
  return Buffer.concat([
    file('before', 'x'.repeat(700)),
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'd/f'],
      ['GNU.sparse.realsize', String(SPARSE_SIZE)],
    ]),
    header({ name: headerName, size: map.length + 2 }),
    map,
    body('ab'),
    // Content that looks like a header is not one.
    file('text', 'GNUSparseFile.0/text'),
    END,
  ])
}
