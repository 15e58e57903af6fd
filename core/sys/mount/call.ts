/** mount(2) and umount2(2): what kernels without the newer calls have, and what overlay without `lowerdir+` takes. */
import { toText } from '../../bytes.js'
import type { Mount } from '../../driver.js'
import { VarveError } from '../../errors.js'
import { check, libc, longText, text } from '../libc.js'
import { enter } from '../seam.js'
import { isBind, isRecursive, MS_BIND, MS_REC, MS_REMOUNT, parseWords } from './options.js'
import { PAGE, parseLayers, withOnePage } from './overlay-data.js'

export interface MountCall {
  readonly source?: string
  readonly type?: string
  /** MS_*. */
  readonly flags: number
  readonly data?: string
  /** What `target` is called in an error. */
  readonly name?: string
}

/** A link at `target` is followed. @throws SysError, VarveError RESOURCE_EXHAUSTED */
export function callMount(target: string, call: MountCall): void {
  const { source = '', type = '', flags, data = '', name = target } = call
  // The kernel would cut it off without a word.
  if (data.length >= PAGE) {
    throw new VarveError(
      'RESOURCE_EXHAUSTED',
      `${type}: mount on ${toText(name)}: ${data.length} bytes of options, and mount(2) takes ${PAGE - 1}`,
    )
  }
  enter('mount', name)
  check(libc.mount(longText(source), text(target), longText(type), flags, longText(data)), 'mount', name)
}

/** Mounts it at `target`; false where flags are left to {@link restrict}. @throws SysError, VarveError */
export function mountAt(mount: Mount, target: string, name: string): boolean {
  const { flags: all, own, data } = parseWords(mount.options)
  const flags = all & ~own
  const { type, source } = mount
  if (type === 'overlay') {
    withOnePage(parseLayers(data), (page) => callMount(target, { source, type, flags, data: page, name }))
  } else if (isBind(mount)) {
    callMount(target, { source, flags: MS_BIND | (isRecursive(mount) ? MS_REC : 0), name })
  } else callMount(target, { source, type, flags, data: data.join(','), name })
  return !isBind(mount) && own === 0
}

/** A bind takes its flags by a second call, at its root; others those that are not the file system's too. @throws SysError */
export function restrict(mount: Mount, root: string, name: string): void {
  const { flags } = parseWords(mount.options)
  if (flags !== 0) callMount(root, { flags: MS_REMOUNT | MS_BIND | flags, name })
}

/** Unmounts what is on top at `target`, whoever uses it; a link is followed. @throws SysError */
export function letGo(target: string, name: string): void {
  enter('umount', name)
  check(libc.umount2(text(target), MNT_DETACH), 'umount', name)
}

const MNT_DETACH = 2
