import type { DriverModule } from '../../core/driver.js'
import { refuseUnknown } from '../options.js'

export const vfs: DriverModule = {
  name: 'vfs',
  priority: 60,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  async open(context) {
    refuseUnknown('vfs', context.options, [])
    return (await import('./open.js')).openVfs(context)
  },
}
