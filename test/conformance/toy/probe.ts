/** Creates, copies and renames a directory, which is all that this driver does with a file system. */
import {
  copyTree,
  errnoOf,
  type Host,
  messageOf,
  mkdir,
  type Probe,
  rename,
  withTemporary,
} from '../../../drivers/kit.js'

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
