import type { DriverModule } from '../../core/driver.js'

export const btrfs: DriverModule = {
  name: 'btrfs',
  priority: 20,
  options: [
    {
      key: 'min_space',
      help: 'the smallest size that a writable layer may be given (default: any)',
      example: '1G',
    },
  ],
  probe: async (host) => (await import('./probe.js')).probe(host),
  open: async (context) => (await import('./open.js')).openBtrfs(context),
}
