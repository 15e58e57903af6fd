/**
 * The process that power-cut-rounds.ts runs: calls of a snapshotter, and imports. If no fault has killed it before the end,
 * it prints {@link THROUGH} and kills itself.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openStore } from '../../core/store.js'
import { drivers } from '../../drivers/all.js'
import { contentFor, THROUGH, treesOf } from './power-cut-content.js'

const [, , root = '', driver = '', ...calls] = process.argv
const store = await openStore({ root, drivers: drivers.filter(({ name }) => name === driver) })
for (const call of calls) {
  const [what, name = '', other = ''] = call.split(' ')
  const below = other === '' ? {} : { parent: other }
  if (what === 'prepare') await store.snapshots.prepare(name, below)
  else if (what === 'view') await store.snapshots.view(name, below)
  else if (what === 'commit') await store.snapshots.commit(name, other)
  else if (what === 'remove') await store.snapshots.remove(name)
  else if (what === 'import') await store.importLayer(name, below)
  else if (what === 'limited') await store.create({ id: name, options: new Map([['size', other]]) })
  else if (what === 'write' || what === 'save') {
    const [tree = ''] = treesOf(await store.snapshots.mounts(name))
    const directory = join(tree, 'directory')
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, name), contentFor(name))
    if (what === 'save') fsyncOf(join(directory, name))
  } else throw new Error(`no such call: ${call}`)
}
writeSync(1, THROUGH)
process.kill(process.pid, 'SIGKILL')

function fsyncOf(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}
