/** Imports a layer's tar from standard input. Argument: root. */
import { openStore } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'

const store = await openStore({ root: process.argv[2] ?? '', drivers: [vfs] })
try {
  process.send?.('open')
  await store.importLayer('-')
} finally {
  await store.close()
  process.disconnect?.()
}
