/** The process that own-access.test.ts runs as a user other than root, on a tree whose modes lock its owner out. */
import * as fs from 'node:fs'
import { mergeSync } from '../../../core/extract/merge.js'
import { pack } from '../../../core/pack/pack.js'
import { close, read } from '../../../core/sys/files.js'
import { compareTrees } from '../../../core/tree/compare.js'
import { openInRoot } from '../../../core/tree/confined.js'
import { copyTreeSync } from '../../../core/tree/copy.js'
import { walk } from '../../../core/tree/walk.js'
import { usageOf } from '../../../drivers/usage.js'

const [, , folder = ''] = process.argv
const [tree, copy, layer] = ['tree', 'copy', 'layer'].map((name) => `${folder}/${name}`)
if (tree === undefined || copy === undefined || layer === undefined) throw new Error('no folder')

for (const path of ['odd/deep/er', 'readable', 'searched', 'usr/bin'])
  fs.mkdirSync(`${tree}/${path}`, { recursive: true })
fs.writeFileSync(`${tree}/odd/deep/er/still`, 'still here')
fs.writeFileSync(`${tree}/readable/file`, 'no x')
fs.writeFileSync(`${tree}/searched/file`, 'no r')
fs.writeFileSync(`${tree}/shadow`, 'secret')
fs.writeFileSync(`${tree}/usr/bin/old`, 'old')
fs.symlinkSync('shadow', `${tree}/link`)
fs.linkSync(`${tree}/shadow`, `${tree}/linked`)
const MODES = [
  ['shadow', 0],
  ['odd/deep/er/still', 0],
  ['odd/deep/er', 0],
  ['odd/deep', 0],
  ['readable', 0o444],
  ['searched', 0o311],
  ['usr/bin', 0o555],
  ['usr', 0o555],
  ['', 0o555],
] as const
for (const [path, mode] of MODES) fs.chmodSync(`${tree}/${path}`, mode)
for (const path of ['usr/bin', 'usr', '']) fs.utimesSync(`${tree}/${path}`, 1, 1)
const before = state(tree)

fs.mkdirSync(copy)
copyTreeSync(tree, copy)
const changes = [...compareTrees(tree, copy)]
const { inodes } = await usageOf(tree)
let tar = 0
const all = [...walk(tree)].map(({ path }) => ({ path, kind: 'add' as const }))
const { entries } = pack(tree, all, {
  emit: (bytes) => {
    tar += bytes.length
  },
})
const contentOf = (path: string, follow: boolean): string => {
  const root = fs.openSync(tree, 'r')
  const buffer = Buffer.alloc(100)
  const fd = openInRoot(root, path, { follow })
  const length = read(fd, buffer, 0, 100, 0)
  close(fd)
  fs.closeSync(root)
  return buffer.toString('latin1', 0, length)
}
const contents = [
  contentOf('link', true),
  contentOf('odd/deep/er/still', false),
  contentOf('searched/file', false),
]
const after = state(tree)

fs.mkdirSync(`${layer}/usr/bin`, { recursive: true })
fs.mkdirSync(`${layer}/odd/deep/er`, { recursive: true })
fs.mkdirSync(`${layer}/moved`)
fs.writeFileSync(`${layer}/usr/bin/new`, 'new')
fs.writeFileSync(`${layer}/odd/deep/er/more`, 'more')
fs.writeFileSync(`${layer}/moved/file`, '')
for (const [path, mode] of [
  ['moved', 0o500],
  ['odd/deep/er', 0],
  ['odd/deep', 0o100],
  ['usr/bin', 0o555],
  ['usr', 0o555],
  ['', 0o511],
] as const) {
  fs.utimesSync(`${layer}/${path}`, 2, 2)
  fs.chmodSync(`${layer}/${path}`, mode)
}
const merged = mergeSync({
  layer,
  target: copy,
  whiteouts: ['usr/bin/old', 'searched/file'],
  opaques: ['readable'],
})
console.log(
  JSON.stringify({ before, after, changes, inodes, entries, tar, contents, merged, result: state(copy) }),
)

/** Path → mode and, for directories that must not be touched, mtime in whole seconds. */
function state(root: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const { path, stat } of walk(root))
    found[path] = `${(stat.mode & 0o7777).toString(8)} ${stat.mtimeSec < 10 ? stat.mtimeSec : ''}`.trim()
  return found
}
