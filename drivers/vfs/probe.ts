/** Copies work wherever a directory can be made. */
import type { Host, Probe } from '../../core/driver.js'
import { errnoOf } from '../../core/errors.js'
import { symlink } from '../../core/sys/files.js'
import { fsName, statfs } from '../../core/sys/statfs.js'
import { withTemporary } from '../temporary.js'

export async function probe(host: Host): Promise<Probe> {
  const facts = [['Backing Filesystem', fsName(statfs(host.scratch).type)]] as const
  try {
    await withTemporary(host.scratch, (directory) => symlink('nowhere', `${directory}/link`))
    return { verdict: 'supported', reason: '', facts }
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error)
    const errno = errnoOf(error)
    // EPERM and EOPNOTSUPP: a file system without symlinks (vfat, exfat).
    if (errno === 'EPERM' || errno === 'EOPNOTSUPP' || errno === 'ENOTSUP') {
      return { verdict: 'wrong file system', reason: `it can't hold a layer: ${said}`, facts }
    }
    if (errno !== 'EACCES' && errno !== 'EROFS') throw error
    return { verdict: 'prerequisite missing', reason: `the data root can't be written: ${said}`, facts }
  }
}
