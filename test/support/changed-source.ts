/** A source with changes in it, as JavaScript: for builds that are broken in one place. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { checkoutDirectory } from '../../fixtures/cache.js'

/** What is in the source once, and what it becomes. */
export type SourceChange = readonly [from: string, to: string]

/** `source` is a path from the checkout. */
export function compileChanged(source: string, changes: readonly SourceChange[]): string {
  const checkout = checkoutDirectory()
  let text = readFileSync(join(checkout, source), 'utf8')
  for (const [from, to] of changes) {
    assert.equal(text.split(from).length, 2, `${source} has this once: ${from}`)
    text = text.replace(from, () => to)
  }
  const { config } = ts.readConfigFile(join(checkout, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, checkout)
  return ts.transpile(text, { ...options, module: ts.ModuleKind.ESNext }, source)
}
