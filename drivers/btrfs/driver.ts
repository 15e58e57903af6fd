import type { DriverModule, DriverOption } from '../../core/driver.js'
import { refuseUnknown } from '../options.js'

const options: readonly DriverOption[] = [
  {
    key: 'min_space',
    help: 'the smallest size that a writable layer may be given (default: any)',
    example: '1G',
  },
]

export const btrfs: DriverModule = {
  name: 'btrfs',
  priority: 20,
  options,
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('../layers-in-home.js')).holdsLayersIn(home),
  async open(context) {
    refuseUnknown('btrfs', context.options, options)
    return (await import('./open.js')).openBtrfs(context)
  },
}
