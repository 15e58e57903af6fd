/** File attributes of chattr(1), by ioctl(2); numbers are those of include/uapi/linux/fs.h. */
import { check, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Makes the file `fd`, which must still be empty, one that is overwritten in place, not copied on write, for all its life.
 * @throws SysError EOPNOTSUPP, ENOTTY, EINVAL if the file system doesn't take the flag
 */
export function writeInPlace(fd: number): void {
  const flags = Buffer.alloc(8)
  enter('getflags')
  check(libc.ioctlStruct(fd, GETFLAGS, flags), 'getflags')
  // The file may have inherited its folder's flag for compression, and the two exclude each other.
  flags.writeUInt32LE(((flags.readUInt32LE(0) & ~COMPRESSED) | NOT_COPIED) >>> 0)
  enter('setflags')
  check(libc.ioctlStruct(fd, SETFLAGS, flags), 'setflags')
}

const GETFLAGS = 0x80086601
const SETFLAGS = 0x40086602
const COMPRESSED = 0x00000004
const NOT_COPIED = 0x00800000
