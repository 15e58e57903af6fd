import type { DriverModule, DriverOption } from '../../core/driver.js'
import { refuseUnknown } from '../options.js'

const options: readonly DriverOption[] = [
  {
    key: 'redirect_dir',
    help: 'rename directories of a parent in place instead of copying them (default: as the kernel is set)',
    example: 'on',
  },
  {
    key: 'metacopy',
    help: 'chmod and chown copy no content up (default: as the kernel is set; once on, it stays on)',
    example: 'on',
  },
]

export const overlay: DriverModule = {
  name: 'overlay',
  priority: 50,
  options,
  probe: async (host) => (await import('./probe.js')).probe(host),
  holdsLayers: async (home) => (await import('../layers-in-home.js')).holdsLayersIn(home),
  async open(context) {
    refuseUnknown('overlay', context.options, options)
    return (await import('./open.js')).openOverlay(context)
  },
}
