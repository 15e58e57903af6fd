import type { DriverModule } from '../../../core/driver.js'
import { refuseUnknown } from '../../../drivers/options.js'

export const toy: DriverModule = {
  name: 'toy',
  priority: 1000,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('../../../drivers/layers-in-home.js')).holdsLayersIn(home),
  async open(context) {
    refuseUnknown('toy', context.options, [])
    return (await import('./open.js')).openToy(context)
  },
}
