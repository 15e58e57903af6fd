/** Backends that varve finds but can't use yet: the probe is real, the driver is to come. */
import type { DriverModule, DriverOption, Host, Probe } from '../core/driver.js'
import { VarveError } from '../core/errors.js'

/** What the host has for this backend: `ready` where it could be used; the probe's facts. */
export interface Finding {
  readonly verdict: Probe['verdict']
  readonly reason: string
  readonly facts?: Probe['facts']
}

/** A module whose verdict is never `supported`, and says so in the same words everywhere. */
export function unavailable(
  name: string,
  priority: number,
  options: readonly DriverOption[],
  find: (host: Host) => Promise<Finding>,
): DriverModule {
  const later = `varve's ${name} driver comes in a later version`
  return {
    name,
    priority,
    options,
    async probe(host) {
      const { verdict, reason, facts = [] } = await find(host)
      return {
        verdict: verdict === 'supported' ? 'unsupported' : verdict,
        reason: `${reason}; ${later}`,
        facts,
      }
    },
    holdsLayers: async (home) => (await import('./layers-in-home.js')).holdsLayersIn(home),
    async open() {
      throw new VarveError('UNIMPLEMENTED', `${name}: ${later}; use overlay or vfs`)
    },
  }
}
