/** Compares `changes` with what two trees really hold, according to test/support/oracle.ts. */
import assert from 'node:assert/strict'
import type { Change } from '../../core/driver.js'
import type { Snapshot } from '../support/oracle.js'

/**
 * Every difference is listed, once, in the order of path bytes, and nothing else. Only hard links may be listed in addition,
 * because the trees do not show which name of a file was changed.
 */
export function assertExact(changes: readonly Change[], before: Snapshot, after: Snapshot): void {
  const lines = changes.map(({ path, kind }) => `${kind} ${path}`)
  const paths = changes.map(({ path }) => path)
  assert.deepEqual(paths, [...new Set(paths)].sort(), 'sorted by bytes, each once')
  const required = expectedChanges(before, after)
  const [want, have] = [new Set(required), new Set(lines)]
  const linked = linkedPaths(before, after)
  const missing = required.filter((line) => !have.has(line))
  const wrong = lines.filter((line) => {
    return !want.has(line) && !(line.startsWith('modify ') && linked.has(line.slice('modify '.length)))
  })
  assert.deepEqual({ missing, wrong }, { missing: [], wrong: [] }, 'changes and what the trees hold')
}

/** `add a`, `modify b`, `delete c`, without the additional links. */
function expectedChanges(before: Snapshot, after: Snapshot): string[] {
  const lines: string[] = []
  for (const [path, line] of after) {
    const was = before.get(path)
    if (was === undefined) lines.push(`add ${path}`)
    else if (withoutLinks(was) !== withoutLinks(line)) lines.push(`modify ${path}`)
  }
  for (const path of before.keys()) {
    if (after.has(path)) continue
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (after.get(above)?.startsWith('directory ') === true) lines.push(`delete ${path}`)
  }
  return lines
}

/** The other names of a file are at the end of a line, before the extended attributes. */
const LINK = / = (.*?)(?= \S+=0x|$)/s

function linkedPaths(before: Snapshot, after: Snapshot): ReadonlySet<string> {
  const linked = new Set<string>()
  for (const tree of [before, after]) {
    for (const [path, line] of tree) {
      const first = LINK.exec(line)?.[1]
      if (first === undefined) continue
      linked.add(path)
      linked.add(first)
    }
  }
  return linked
}

function withoutLinks(line: string): string {
  return line.replace(LINK, '')
}
