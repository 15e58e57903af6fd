/** What a compiled file loads, read from the files themselves. */
import { readFileSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The compiled folder. */
export const COMPILED = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

/** All that `main` imports or starts (`import()`, and `new URL('./NAME.js', …)` of a thread or a process): our files, relative to {@link COMPILED}, and packages. */
export function reachable(main: string): {
  readonly files: readonly string[]
  readonly packages: readonly string[]
} {
  const files = new Set<string>()
  const packages = new Set<string>()
  const visit = (file: string): void => {
    const name = relative(COMPILED, file)
    if (files.has(name)) return
    files.add(name)
    const text = readFileSync(file, 'utf8')
    for (const [, specifier = ''] of text.matchAll(
      /(?:\bfrom\s|\bimport\s*\(?|\bnew URL\((?='\.\/[\w-]+\.js'))\s*'([^'\n]+)'/g,
    )) {
      if (specifier.startsWith('.')) visit(resolve(dirname(file), specifier))
      else if (!specifier.startsWith('node:'))
        packages.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier)
    }
  }
  visit(main)
  return { files: [...files].sort(), packages: [...packages].sort() }
}
