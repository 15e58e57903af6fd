import type { DriverModule } from '../../core/driver.js'
import { unavailable } from '../unavailable.js'

export const btrfs: DriverModule = unavailable('btrfs', 20, [], async (host) =>
  (await import('./probe.js')).find(host),
)
