/** Every backend, in the order of selection. Nothing registers itself: a new driver is a line here. */
import type { DriverModule } from '../core/driver.js'
import { aufs } from './aufs/driver.js'
import { btrfs } from './btrfs/driver.js'
import { devicemapper } from './devicemapper/driver.js'
import { overlay } from './overlay/driver.js'
import { vfs } from './vfs/driver.js'
import { zfs } from './zfs/driver.js'

export const drivers: readonly DriverModule[] = [aufs, btrfs, zfs, devicemapper, overlay, vfs]
