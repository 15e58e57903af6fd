/**
 * `npm run table`: writes the diagram of the rooms into core/README.md, the README of each room, and the README's tables from
 * the kept results of the last `npm test` (or `npm run faults`). `npm run table -- rooms` writes only what is of the rooms.
 * Fails if results are missing.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../fixtures/cache.js'
import { cellsTable } from './conformance/cells-table.js'
import { keptSuitesTable } from './faults/suites-table.js'
import { roomIndexes } from './room-index.js'
import { roomsDiagram } from './rooms.js'
import { featuresTable } from './serve/dockerd/features/table.js'

interface Table {
  /** Relative to the checkout. */
  readonly file: string
  make(): string
}

const TABLES: Readonly<Record<string, Table>> = {
  rooms: { file: 'core/README.md', make: () => roomsDiagram() },
  cells: { file: 'README.md', make: cellsTable },
  features: { file: 'README.md', make: featuresTable },
  faults: { file: 'README.md', make: keptSuitesTable },
}

const asked = process.argv.slice(2)
for (const [name, { file, make }] of Object.entries(TABLES)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const path = join(checkoutDirectory(), file)
  writeFileSync(path, replaced(readFileSync(path, 'utf8'), { file, name, table: make() }))
}
if (asked.length === 0 || asked.includes('rooms')) {
  for (const { file, text } of roomIndexes()) writeFileSync(join(checkoutDirectory(), file), text)
}

function replaced(
  whole: string,
  { file, name, table }: { readonly file: string; readonly name: string; readonly table: string },
): string {
  const [start, end] = [`<!-- ${name}: written by \`npm run table\` -->`, `<!-- end of ${name} -->`]
  const [before, after] = [whole.indexOf(start), whole.indexOf(end)]
  if (before === -1 || after < before) throw new Error(`${file}: the lines ${start} and ${end} are missing`)
  return `${whole.slice(0, before)}${start}\n\n${table}\n\n${whole.slice(after)}`
}
