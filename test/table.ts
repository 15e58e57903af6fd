/**
 * `npm run table`: writes the README's tables from what the last `npm test` (or `npm run faults`) kept. Refuses where something that must run was
 * not run.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../fixtures/cache.js'
import { cellsTable } from './conformance/cells-table.js'
import { keptSuitesTable } from './faults/suites-table.js'
import { featuresTable } from './serve/dockerd/features/table.js'

const TABLES: Readonly<Record<string, () => string>> = {
  cells: cellsTable,
  features: featuresTable,
  faults: keptSuitesTable,
}

const readme = join(checkoutDirectory(), 'README.md')
let text = readFileSync(readme, 'utf8')
for (const [name, table] of Object.entries(TABLES)) text = replaced(text, name, table())
writeFileSync(readme, text)

function replaced(whole: string, name: string, table: string): string {
  const [start, end] = [`<!-- ${name}: written by \`npm run table\` -->`, `<!-- end of ${name} -->`]
  const [before, after] = [whole.indexOf(start), whole.indexOf(end)]
  if (before === -1 || after < before) throw new Error(`README.md: wants the lines ${start} and ${end}`)
  return `${whole.slice(0, before)}${start}\n\n${table}\n\n${whole.slice(after)}`
}
