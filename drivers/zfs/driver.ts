import type { DriverModule } from '../../core/driver.js'
import { unavailable } from '../unavailable.js'

export const zfs: DriverModule = unavailable(
  'zfs',
  30,
  [{ key: 'fsname', help: 'the dataset below which the layers are made', example: 'tank/varve' }],
  async (host) => (await import('./probe.js')).find(host),
)
