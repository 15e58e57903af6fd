import type { DriverModule } from '../../core/driver.js'
import { unavailable } from '../unavailable.js'

export const aufs: DriverModule = unavailable('aufs', 10, [], async (host) =>
  (await import('./probe.js')).find(host),
)
