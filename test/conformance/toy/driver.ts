import type { DriverModule } from '../../../drivers/kit.js'

export const toy: DriverModule = {
  name: 'toy',
  priority: 1000,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('./open.js')).holdsLayers(home),
  open: async (context) => (await import('./open.js')).openToy(context),
}
