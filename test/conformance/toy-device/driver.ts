import type { DriverModule } from '../../../drivers/kit.js'

export const toyDevice: DriverModule = {
  name: 'toy-device',
  priority: 1001,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('./images.js')).holdsImages(home),
  open: async (context) => (await import('./open.js')).openToyDevice(context),
}
