/** A tar laid into a new layer. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import type { Applied, ApplyOptions } from '../../core/driver.js'
import { extract } from '../../core/extract/extract.js'
import { merge } from '../../core/extract/merge.js'
import { close, mkdir, open, readdir, removeTree, utimens } from '../../core/sys/files.js'
import { lstat } from '../../core/sys/stat.js'
import type { ByteChannel } from '../../core/threads/channel.js'

/** Into an empty subvolume: nothing is below it, so nothing can be hidden. */
export async function applyToEmpty(
  target: string,
  tar: ByteChannel,
  options: ApplyOptions,
): Promise<Applied> {
  const {
    whiteouts: _,
    opaques: __,
    ...applied
  } = await extract(target, tar, {
    ...options,
    lower: undefined,
    whiteouts: 'list',
  })
  return applied
}

/**
 * Into a snapshot of `parent`: first into a directory of its own, then from there into the tree. That directory must be in
 * the layer itself, for nothing can be renamed from one subvolume into another; should this be cut off, the whole
 * layer goes.
 */
export async function applyToCopy(
  target: string,
  parent: string,
  tar: ByteChannel,
  options: ApplyOptions,
): Promise<Applied> {
  const name = `.varve~${randomBytes(16).toString('hex')}`
  const upper = `${target}/${name}`
  mkdir(upper, 0o700)
  const lower = open(parent, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const extracted = await extract(upper, tar, { ...options, lower, whiteouts: 'list' })
    const { whiteouts, opaques, ...applied } = extracted
    if (opaques.includes('')) {
      // Here and not by the merge, which would take the directory it comes from for the parent's.
      for (const each of readdir(target)) if (each !== name) removeTree(`${target}/${each}`)
    }
    await merge(upper, target, { whiteouts, opaques: opaques.filter((path) => path !== '') })
    const { mtimeSec, mtimeNsec } = lstat(target)
    removeTree(upper)
    utimens(target, { sec: mtimeSec, nsec: mtimeNsec })
    return applied
  } finally {
    close(lower)
  }
}
