import type { Host } from '../../core/driver.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { hasFileSystem, inUserNamespace } from '../kernel.js'
import type { Finding } from '../unavailable.js'

/** File systems that aufs can't have as a branch. */
const UNFIT: readonly string[] = ['aufs', 'btrfs', 'ecryptfs']

export async function find(host: Host): Promise<Finding> {
  if (inUserNamespace())
    return { verdict: 'prerequisite missing', reason: 'aufs mounts need the initial user namespace' }
  const known = await hasFileSystem('aufs')
  if (known !== true) return { verdict: 'unsupported', reason: known }
  const backing = fsName(statfs(host.scratch).type)
  const facts = [['Backing Filesystem', backing]] as const
  if (UNFIT.includes(backing)) {
    return { verdict: 'wrong file system', reason: `aufs takes no branch on ${backing}`, facts }
  }
  return { verdict: 'supported', reason: 'the kernel has aufs', facts }
}
