import type { Host } from '../../core/driver.js'
import { which } from '../../core/sys/exec.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import type { Finding } from '../unavailable.js'

export async function find(host: Host): Promise<Finding> {
  const backing = fsName(statfs(host.scratch).type)
  const facts = [['Backing Filesystem', backing]] as const
  if (backing !== 'btrfs') {
    return { verdict: 'wrong file system', reason: `the data root is on ${backing}, not btrfs`, facts }
  }
  if (which('btrfs') === undefined) {
    return { verdict: 'prerequisite missing', reason: 'no btrfs command on PATH (btrfs-progs)', facts }
  }
  return { verdict: 'supported', reason: 'the data root is on btrfs', facts }
}
