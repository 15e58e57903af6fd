import type { Host } from '../../core/driver.js'
import { run, which } from '../../core/sys/exec.js'
import { lstatOrUndefined } from '../../core/sys/stat.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import type { Finding } from '../unavailable.js'

/** A host without zfs is skipped, never an error. */
export async function find(host: Host): Promise<Finding> {
  const zfs = which('zfs')
  if (zfs === undefined) return { verdict: 'prerequisite missing', reason: 'no zfs command on PATH' }
  if (lstatOrUndefined('/dev/zfs') === undefined) {
    return { verdict: 'prerequisite missing', reason: 'no /dev/zfs: the zfs module is not loaded' }
  }
  const dataset = host.options.get('fsname')
  if (dataset === undefined) {
    const backing = fsName(statfs(host.scratch).type)
    return backing === 'zfs'
      ? { verdict: 'supported', reason: 'the data root is on a zfs dataset' }
      : {
          verdict: 'wrong file system',
          reason: `the data root is on ${backing}, not zfs, and zfs.fsname names no dataset`,
        }
  }
  try {
    await run(zfs, ['list', '-H', '-o', 'name', dataset])
  } catch (error) {
    const said = error instanceof Error ? error.message.trim() : String(error)
    return { verdict: 'prerequisite missing', reason: `zfs.fsname=${dataset}: ${said}` }
  }
  return { verdict: 'supported', reason: `dataset ${dataset}` }
}
