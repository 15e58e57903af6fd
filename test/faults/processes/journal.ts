/**
 * The journal of a process of the suite, with a line when an operation begins and when it ends, so that it survives a kill.
 */
import { appendFileSync, readFileSync } from 'node:fs'

export const KINDS = [
  'create',
  'write',
  'commit',
  'remove',
  'read',
  'export',
  'import',
  'share',
  'list',
] as const

export interface Operation {
  readonly kind: (typeof KINDS)[number]
  /** The layer's id; for `import` and `share` a name that several processes use. */
  readonly id: string
  readonly parent?: string
  /** Name and content of the file that is written. */
  readonly file?: string
}

export type Line =
  | { readonly begun: Operation }
  | { readonly done: string }
  | { readonly refused: string }
  | { readonly wrong: string }

export function say(file: string, line: Line): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`)
}

export interface Told {
  readonly operation: Operation
  /** Undefined where the process was killed during the operation. */
  readonly end: Exclude<Line, { readonly begun: Operation }> | undefined
}

export function readJournal(file: string): readonly Told[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const told: Told[] = []
  for (const text of lines) {
    const line = JSON.parse(text) as Line
    if ('begun' in line) told.push({ operation: line.begun, end: undefined })
    else {
      const last = told.pop()
      if (last !== undefined) told.push({ ...last, end: line })
    }
  }
  return told
}
