/**
 * `varve diff --content`: the changes of regular files and symlinks as a patch in git's form (git-diff, "Generating patch
 * text").
 */

import { UNSEEN } from '../../core/face/command.js'
import { type DetailedChange, type FileInfo, toBytes } from '../../core/store.js'
import { name } from './format.js'
import { diffLines, splitLines, unifiedHunks } from './line-diff.js'

/** Reads a regular file of one side. */
export type ReadSide = (file: FileInfo) => Promise<Buffer>

/** Larger files are only said to differ. */
const LARGEST_SHOWN = 4 * 1024 * 1024

/** '' where neither side is a regular file or a symlink, or where only attributes changed that git does not track. */
export async function patchText(change: DetailedChange, before: ReadSide, after: ReadSide): Promise<string> {
  const old = hasContent(change.before) ? change.before : undefined
  const now = hasContent(change.after) ? change.after : undefined
  // A file that became a symlink, or the reverse, is shown as a deletion and an addition, as in git.
  if (old !== undefined && now !== undefined && old.type !== now.type) {
    return (await onePatch(old, undefined, before, after)) + (await onePatch(undefined, now, before, after))
  }
  return onePatch(old, now, before, after)
}

function hasContent(file: FileInfo | undefined): file is FileInfo {
  return file?.type === 'file' || file?.type === 'symlink'
}

async function onePatch(
  old: FileInfo | undefined,
  now: FileInfo | undefined,
  before: ReadSide,
  after: ReadSide,
): Promise<string> {
  const path = (now ?? old)?.path
  if (path === undefined) return ''
  const a = quoted(`a/${path}`)
  const b = quoted(`b/${path}`)
  const head = [`diff --git ${a} ${b}`, ...modeLines(old, now)]
  const body = await bodyText([old, now], [before, after], { a, b })
  if (body === '' && old !== undefined && now !== undefined && head.length === 1) return ''
  return `${head.join('\n')}\n${body}`
}

async function bodyText(
  [old, now]: readonly [FileInfo | undefined, FileInfo | undefined],
  [before, after]: readonly [ReadSide, ReadSide],
  { a, b }: { readonly a: string; readonly b: string },
): Promise<string> {
  const from = old === undefined ? '/dev/null' : a
  const to = now === undefined ? '/dev/null' : b
  if (old?.sha256 !== undefined && old.sha256 === now?.sha256) return ''
  const binary = `Binary files ${from} and ${to} differ\n`
  if (Math.max(old?.size ?? 0, now?.size ?? 0) > LARGEST_SHOWN) return binary
  const one = old === undefined ? Buffer.alloc(0) : await content(old, before)
  const two = now === undefined ? Buffer.alloc(0) : await content(now, after)
  if (one.equals(two)) return ''
  if (isBinary(one) || isBinary(two) || [old, now].some(isOddLink)) return binary
  const hunks = unifiedHunks(diffLines(splitLines(one.toString('utf8')), splitLines(two.toString('utf8'))))
  return `--- ${from}\n+++ ${to}\n${hunks}`
}

async function content(file: FileInfo, read: ReadSide): Promise<Buffer> {
  return file.type === 'symlink' ? toBytes(file.target) : read(file)
}

/** A NUL in the first 8000 bytes, which is git's rule, or bytes that are not UTF-8, which a terminal can't show. */
function isBinary(bytes: Buffer): boolean {
  return bytes.subarray(0, 8000).includes(0) || !isUtf8(bytes)
}

/** A link's target with characters that must not reach a terminal as they are. */
function isOddLink(file: FileInfo | undefined): boolean {
  return file?.type === 'symlink' && UNSEEN.test(toBytes(file.target).toString('utf8'))
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

function modeLines(old: FileInfo | undefined, now: FileInfo | undefined): readonly string[] {
  if (old === undefined) return now === undefined ? [] : [`new file mode ${gitMode(now)}`]
  if (now === undefined) return [`deleted file mode ${gitMode(old)}`]
  if (gitMode(old) === gitMode(now)) return []
  return [`old mode ${gitMode(old)}`, `new mode ${gitMode(now)}`]
}

/** git has only two modes for regular files. */
function gitMode(file: FileInfo): string {
  if (file.type === 'symlink') return '120000'
  return file.mode & 0o111 ? '100755' : '100644'
}

/** Quotes a name that needs it, in C style as git does. */
function quoted(path: string): string {
  const text = name(path)
  return text.includes('"') || text !== toBytes(path).toString('utf8') ? JSON.stringify(text) : text
}
