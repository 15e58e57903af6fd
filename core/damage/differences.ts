/** Compares one file with its row in the index. */

import type { FileInfo } from '../api/store.js'
import { toShortText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { Found } from '../file-index/merged-index.js'
import { sameXattrs } from '../tree/attributes.js'
import { excusesOf, isNoEntry } from './excuses.js'

/** In words; undefined where the file is as the index has it. */
export function differencesOf(
  db: Database,
  wanted: Found | undefined,
  actual: FileInfo | undefined,
): string | undefined {
  if (wanted === undefined) {
    return actual === undefined || isNoEntry(actual) ? undefined : 'should not be there'
  }
  if (actual === undefined) return excusesOf(db, wanted).absent ? undefined : 'is missing'
  const { row } = wanted
  const differences = [
    ['type', row.type, actual.type],
    // Linux keeps no mode of a symlink: it is always 0777 (symlink(7)), whatever the tar says.
    ...(row.type === 'symlink' ? [] : ([['mode', row.mode.toString(8), actual.mode.toString(8)]] as const)),
    ...(process.getuid?.() === 0
      ? ([['owner', `${row.uid}:${row.gid}`, `${actual.uid}:${actual.gid}`]] as const)
      : []),
    ...(row.type === 'file' ? ([['size', row.size, actual.size]] as const) : []),
    ...(row.type === 'symlink' ? ([['target', row.target, actual.target]] as const) : []),
    ...(row.type === 'char' || row.type === 'block'
      ? ([['device', `${row.devMajor}:${row.devMinor}`, `${actual.devMajor}:${actual.devMinor}`]] as const)
      : []),
    ...(hasTime(wanted, actual) ? ([['time', timeOf(row), timeOf(actual)]] as const) : []),
  ] as const
  const different = differences.filter(([, before, now]) => before !== now)
  const [had, has] = [comparable(row.xattrs), comparable(actual.xattrs)]
  if (different.length === 0 && sameXattrs(had, has)) return undefined
  const excuses = excusesOf(db, wanted)
  const left = different.filter(([name]) => !excuses.fact(name))
  if (left.length > 0) {
    return left
      .map(
        ([name, before, now]) =>
          `its ${name} is ${toShortText(String(now))}, not ${toShortText(String(before))}`,
      )
      .join(', ')
  }
  const names = new Set([...had.keys(), ...has.keys()])
  const isOther = (name: string) => had.get(name) !== has.get(name) && !excuses.attribute(name)
  return [...names].some(isOther) ? 'its extended attributes differ' : undefined
}

/** No false alarms: implied directories have no time of their own, and file systems differ in the precision of times. */
function hasTime({ row }: Found, actual: FileInfo): boolean {
  return !row.implied && (row.mtimeNsec === 0 || actual.mtimeNsec !== 0)
}

function timeOf({ mtimeSec, mtimeNsec }: { mtimeSec: number; mtimeNsec: number }): string {
  return `${mtimeSec}.${String(mtimeNsec).padStart(9, '0')}`
}

/** The attributes to compare: not a security module's label, nor (without root) what only root may write. */
function comparable(xattrs: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const isRoot = process.getuid?.() === 0
  return new Map(
    [...xattrs].filter(([name]) => name !== 'security.selinux' && (isRoot || name.startsWith('user.'))),
  )
}
