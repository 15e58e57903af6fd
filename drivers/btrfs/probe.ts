/** May btrfs be used for a data root here? Answered by making, snapshotting, sealing and deleting a subvolume. */
import { toText } from '../../core/bytes.js'
import type { Host, Probe } from '../../core/driver.js'
import { errnoOf, messageOf } from '../../core/errors.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { withTemporary } from '../temporary.js'
import { createSnapshot, createSubvolume, hasQuota, setSubvolumeReadonly } from './ioctls.js'
import { removeAny } from './subvolumes.js'

export async function probe(host: Host): Promise<Probe> {
  const backing = fsName(statfs(host.scratch).type)
  const facts = [['Backing Filesystem', backing]] as const
  if (backing !== 'btrfs') {
    const reason = `the data root is on ${backing}, not btrfs`
    return { verdict: 'wrong file system', reason, facts }
  }
  try {
    return await withTemporary(host.scratch, testSubvolumes, { make: createSubvolume, remove: removeAny })
  } catch (error) {
    const errno = errnoOf(error)
    if (errno !== 'EACCES' && errno !== 'EPERM' && errno !== 'EROFS' && errno !== 'ENOTTY') throw error
    const reason = `a test subvolume in ${toText(host.scratch)}: ${messageOf(error)}; is this root?`
    return { verdict: 'prerequisite missing', reason, facts }
  }

  function testSubvolumes(directory: string): Probe {
    const snapshot = `${directory}/snapshot`
    createSnapshot(directory, snapshot, false)
    setSubvolumeReadonly(snapshot, true)
    removeAny(snapshot)
    const quota = hasQuota(directory) ? 'on' : 'off'
    return { verdict: 'supported', reason: '', facts: [...facts, ['Quota', quota]] }
  }
}
