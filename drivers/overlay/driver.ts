import type { DriverModule } from '../../core/driver.js'

export const overlay: DriverModule = {
  name: 'overlay',
  priority: 50,
  options: [
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
  ],
  probe: async (host) => (await import('./probe.js')).probe(host),
  open: async (context) => (await import('./open.js')).openOverlay(context),
}
