import type { Host } from '../../core/driver.js'
import { run, which } from '../../core/sys/exec.js'
import { lstatOrUndefined } from '../../core/sys/stat.js'
import type { Finding } from '../unavailable.js'

export async function find(host: Host): Promise<Finding> {
  const missing = (reason: string): Finding => ({ verdict: 'prerequisite missing', reason })
  const dmsetup = which('dmsetup')
  if (dmsetup === undefined) return missing('no dmsetup command on PATH')
  if (lstatOrUndefined('/dev/mapper/control') === undefined) {
    return { verdict: 'unsupported', reason: 'no /dev/mapper/control: the kernel has no device mapper' }
  }
  let targets: string
  try {
    targets = (await run(dmsetup, ['targets'])).stdout.toString('latin1')
  } catch (error) {
    return missing(`dmsetup targets: ${error instanceof Error ? error.message.trim() : String(error)}`)
  }
  if (!/^thin-pool\s/m.test(targets)) {
    return { verdict: 'unsupported', reason: 'dmsetup targets lists no thin-pool (module dm_thin_pool)' }
  }
  const pool = host.options.get('thinpooldev')
  if (pool === undefined) {
    return missing(
      'no thin pool is configured (devicemapper.thinpooldev); one on loop files is never chosen unasked',
    )
  }
  if (lstatOrUndefined(pool) === undefined) return missing(`thinpooldev=${pool}: there is no such device`)
  return { verdict: 'supported', reason: `thin pool ${pool}` }
}
