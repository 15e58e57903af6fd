/** Holds the locks of some layers until it is killed. Arguments: the folder of the locks, the layers. */
import { createLayerLocks } from '../../../core/graph/locks.js'

const [folder = '', ...layers] = process.argv.slice(2)
const locks = createLayerLocks(folder)
for (const layer of layers) await locks.lockLayer(layer as Parameters<typeof locks.lockLayer>[0])
process.send?.('held')
setInterval(() => {}, 60_000)
