/** `ROOT DRIVER TAR…`: a process that imports layers, each on top of the one before, and prints the top one's id. */
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'

const [root = '', driver = '', ...tars] = process.argv.slice(2)
const store = await openStore({ root, drivers, driver })
let parent: string | undefined
for (const tar of tars) parent = (await store.importLayer(tar, parent === undefined ? {} : { parent })).id
console.log(parent)
await store.close()
