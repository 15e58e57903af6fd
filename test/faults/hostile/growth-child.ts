/** For growth.test.ts: imports and reads one case at N and at 2 N, and prints the CPU time of each and the memory. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { GROWTH_CASES } from './growth-cases.js'

const [title, place = '', driver = '', most = '1'] = process.argv.slice(2)
const found = GROWTH_CASES.find((each) => each.title === title)
if (found === undefined) throw new Error(`no case ${title}`)
mkdirSync(`${place}/root`, { mode: 0o700 })
const store = await openStore({ root: `${place}/root`, drivers, driver })
const count = found.count * Number(most)

const seconds: number[] = []
// The first round only warms up.
for (const size of [count >> 2, count, count * 2]) {
  const [base, layer] = [`${place}/base.tar`, `${place}/layer.tar`]
  writeFileSync(layer, found.tar(size))
  let parent: string | undefined
  if (found.below !== undefined) {
    writeFileSync(base, found.below(size))
    parent = (await store.importLayer(base)).chainId
  }
  const before = process.cpuUsage()
  const { id } = await store.importLayer(layer, parent === undefined ? {} : { parent })
  for (const merged of [false, true]) for await (const _ of store.list(id, { recursive: true, merged }));
  for await (const _ of store.diff(undefined, id));
  for await (const _ of store.exportLayer(id));
  const { user, system } = process.cpuUsage(before)
  seconds.push((user + system) / 1e6)
  await store.remove(id, { force: true })
}
await store.close()
process.stdout.write(
  JSON.stringify({ seconds: seconds.slice(1), rss: process.resourceUsage().maxRSS * 1024 }),
)
