import type { DriverModule } from '../../core/driver.js'

export const vfs: DriverModule = {
  name: 'vfs',
  priority: 60,
  options: [],
  probe: async (host) => (await import('./probe.js')).probe(host),
  open: async (context) => (await import('./open.js')).openVfs(context),
}
