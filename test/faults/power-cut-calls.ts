/** What power-cut-rounds.ts runs and kills: calls of a snapshotter and imports, at whose end the process is gone without a word. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openStore } from '../../core/store.js'
import { overlay } from '../../drivers/overlay/driver.js'

const [, , root = '', ...calls] = process.argv
const store = await openStore({ root, drivers: [overlay] })
for (const call of calls) {
  const [what, name = '', other = ''] = call.split(' ')
  if (what === 'prepare') await store.snapshots.prepare(name, other === '' ? {} : { parent: other })
  else if (what === 'commit') await store.snapshots.commit(name, other)
  else if (what === 'remove') await store.snapshots.remove(name)
  else if (what === 'import') await store.importLayer(name, other === '' ? {} : { parent: other })
  else if (what === 'write') {
    const upper = (await store.snapshots.mounts(name))[0]?.options.find((each) =>
      each.startsWith('upperdir='),
    )
    const tree = upper?.slice('upperdir='.length) ?? ''
    mkdirSync(join(tree, 'directory'))
    writeFileSync(join(tree, 'directory/file'), name)
  }
}
process.kill(process.pid, 'SIGKILL')
