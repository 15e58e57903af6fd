/** File attributes of chattr(1), by ioctl(2); numbers are those of include/uapi/linux/fs.h. */
import { check, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * The file that `fd` has open, empty as yet, is overwritten in place and not copied on write, as long as it lives.
 * @throws SysError EOPNOTSUPP, ENOTTY, EINVAL where the file system doesn't take the flag
 */
export function writeInPlace(fd: number): void {
  const flags = Buffer.alloc(8)
  enter('getflags')
  check(libc.ioctlStruct(fd, GETFLAGS, flags), 'getflags')
  // Its folder's flag for compression would be handed down, and the two exclude each other.
  flags.writeUInt32LE(((flags.readUInt32LE(0) & ~COMPRESSED) | NOT_COPIED) >>> 0)
  enter('setflags')
  check(libc.ioctlStruct(fd, SETFLAGS, flags), 'setflags')
}

const GETFLAGS = 0x80086601
const SETFLAGS = 0x40086602
const COMPRESSED = 0x00000004
const NOT_COPIED = 0x00800000
