import type { DriverModule } from '../../core/driver.js'
import { refuseUnknown } from '../options.js'

export const vfs: DriverModule = {
  name: 'vfs',
  priority: 60,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('../layers-in-home.js')).holdsLayersIn(home),
  async open(context) {
    refuseUnknown('vfs', context.options, [])
    return (await import('./open.js')).openVfs(context)
  },
}
