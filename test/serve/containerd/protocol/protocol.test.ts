/** containerd's protocol, tested with our own client: the answer of each call, and each error of its table. */
import { describe, test } from 'node:test'
import { SERVE_CELLS } from '../../cells.js'
import { type Cases, withBench } from './bench.js'
import { CALLS } from './calls.js'
import { CLIENTS } from './clients.js'
import { ERRORS } from './errors.js'
import { IMPORTS } from './imports.js'

const CASES: Cases = { ...CALLS, ...ERRORS, ...IMPORTS, ...CLIENTS }

for (const cell of SERVE_CELLS) {
  describe(`${cell.driver}: containerd's protocol`, { skip: cell.skip }, () => {
    for (const [title, run] of Object.entries(CASES)) test(title, () => withBench(cell, run))
  })
}
