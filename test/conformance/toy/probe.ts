/** Creates, copies and renames a directory, which is all that this driver does with a file system. */
import type { Host, Probe } from '../../../core/driver.js'
import { errnoOf, messageOf } from '../../../core/errors.js'
import { mkdir, rename } from '../../../core/sys/files.js'
import { copyTree } from '../../../core/tree/copy.js'
import { withTemporary } from '../../../drivers/temporary.js'

export async function probe(host: Host): Promise<Probe> {
  try {
    await withTemporary(host.scratch, async (directory) => {
      mkdir(`${directory}/layer`, 0o755)
      mkdir(`${directory}/copy`, 0o700)
      await copyTree(`${directory}/layer`, `${directory}/copy`)
      rename(`${directory}/copy`, `${directory}/child`)
    })
    return { verdict: 'supported', reason: '', facts: [] }
  } catch (error) {
    if (errnoOf(error) !== 'EACCES' && errnoOf(error) !== 'EROFS') throw error
    return { verdict: 'prerequisite missing', reason: `a test directory: ${messageOf(error)}`, facts: [] }
  }
}
