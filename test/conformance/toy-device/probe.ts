/** Makes an image, attaches it and mounts it, which is all that this driver does with a file system. */
import {
  close,
  detached,
  errnoOf,
  type Host,
  lstatOrUndefined,
  messageOf,
  type Probe,
  VarveError,
  which,
  withTemporary,
} from '../../../drivers/kit.js'
import { makeBlank, TOOLS } from './images.js'
import { attach, detach } from './loop.js'

export async function probe(host: Host): Promise<Probe> {
  const missing = (reason: string): Probe => ({ verdict: 'prerequisite missing', reason, facts: [] })
  if (process.geteuid?.() !== 0) return missing('mounting takes root')
  if (lstatOrUndefined('/dev/loop-control') === undefined) return missing('the kernel has no loop devices')
  const tool = TOOLS.find((each) => which(each) === undefined)
  if (tool !== undefined) return missing(`there is no command ${tool}`)
  try {
    await withTemporary(host.scratch, async (directory) => {
      const image = `${directory}/image`
      await makeBlank(image)
      try {
        const source = await attach(image)
        close((await detached([{ type: 'ext4', source, options: ['rw'] }])).fd)
      } finally {
        await detach(image)
      }
    })
    return { verdict: 'supported', reason: '', facts: [] }
  } catch (error) {
    const isHere = error instanceof VarveError || errnoOf(error) === 'EACCES' || errnoOf(error) === 'EROFS'
    if (isHere) return missing(`a test image: ${messageOf(error)}`)
    throw error
  }
}
