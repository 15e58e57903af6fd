import type { DriverModule } from '../../core/driver.js'
import { unavailable } from '../unavailable.js'

export const devicemapper: DriverModule = unavailable(
  'devicemapper',
  40,
  [{ key: 'thinpooldev', help: 'the thin pool that holds the layers', example: '/dev/mapper/vg-pool' }],
  async (host) => (await import('./probe.js')).find(host),
)
