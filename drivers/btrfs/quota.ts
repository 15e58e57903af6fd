/** `size` of a layer: a limit on what its subvolume refers to, the parent's content included (as Docker's on btrfs). */
import { VarveError } from '../../core/errors.js'
import { enableQuota, hasQuota, limitSubvolume } from './ioctls.js'

/** `10G`, `512M`, bytes. @throws VarveError INVALID_ARGUMENT */
export function parseSize(option: string, text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,15})([KMGTP]?)(?:i?B)?$/i.exec(text.trim()) ?? []
  const size = Number(digits) * 1024 ** ' KMGTP'.indexOf(unit === '' ? ' ' : unit.toUpperCase())
  if (digits === '' || size <= 0 || !Number.isSafeInteger(size)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `btrfs: ${option}=${text}: want a size, as 512M, 10G or a number of bytes`,
    )
  }
  return size
}

/** The limit that a layer's options ask for. @throws VarveError INVALID_ARGUMENT */
export function limitOf(
  given: ReadonlyMap<string, string> | undefined,
  layer: { readonly writable: boolean; readonly minimum: number },
): number | undefined {
  for (const key of given?.keys() ?? []) {
    if (key === 'size') continue
    throw new VarveError(
      'INVALID_ARGUMENT',
      `btrfs: layer option ${JSON.stringify(key)}: it takes size alone`,
    )
  }
  const text = given?.get('size')
  if (text === undefined) return undefined
  if (!layer.writable)
    throw new VarveError('INVALID_ARGUMENT', 'btrfs: size: only a writable layer takes one')
  const size = parseSize('size', text)
  if (size < layer.minimum) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `btrfs: size=${text}: the store was opened with btrfs.min_space=${layer.minimum}, which is more`,
    )
  }
  return size
}

/** Limits a subvolume; turns counting on where it is off. */
export function limit(path: string, size: number, warn: (message: string) => void): void {
  if (!hasQuota(path)) {
    enableQuota(path)
    warn(
      'btrfs: a layer has a size, so quota is now on for the whole file system (btrfs quota disable undoes it)',
    )
  }
  limitSubvolume(path, size)
}
