/** Loop devices: a file as a block device. By ioctl(2); structs and numbers are those of include/uapi/linux/loop.h. */
import { constants } from 'node:fs'
import { SysError } from './error.js'
import { close, open } from './files.js'
import { check, EBUSY, ioctlInPool, libc } from './libc.js'
import { enter } from './seam.js'

/**
 * Attaches the file at `path` (byte string) to a free loop device, and returns the device's path. A file may have several,
 * which do not see what is written to the others. From Linux 5.8 on.
 * @throws SysError ENOENT, EACCES; EBUSY where no device could be had; ENOTTY or EINVAL from an older kernel
 */
export async function attachLoop(
  path: string,
  options: { readonly readonly?: boolean } = {},
): Promise<string> {
  const { readonly = false } = options
  const access = readonly ? constants.O_RDONLY : constants.O_RDWR
  const file = open(path, access)
  try {
    const config = configOf(file, { path, readonly })
    for (let tries = 1; ; tries++) {
      const device = freeDevice()
      const fd = open(device, access)
      try {
        enter('loop_configure', device)
        const error = await ioctlInPool(fd, CONFIGURE, config)
        if (error === 0) return device
        // Another process was faster, or keeps the device for itself.
        if (error !== EBUSY || tries === TRIES) throw new SysError(error, 'loop_configure', path, device)
      } finally {
        close(fd)
      }
    }
  } finally {
    close(file)
  }
}

/**
 * Detaches the device's file. A device that is in use, by a mount for example, keeps it until it no longer is.
 * @throws SysError ENXIO where it has none; ENOENT, EACCES
 */
export async function detachLoop(device: string): Promise<void> {
  const fd = open(device, constants.O_RDONLY)
  try {
    enter('loop_clear', device)
    const error = await ioctlInPool(fd, CLEAR, Buffer.alloc(0))
    if (error !== 0) throw new SysError(error, 'loop_clear', device)
  } finally {
    close(fd)
  }
}

function freeDevice(): string {
  const control = open('/dev/loop-control', constants.O_RDWR)
  try {
    enter('loop_get_free')
    return `/dev/loop${check(libc.ioctl(control, GET_FREE, 0), 'loop_get_free')}`
  } finally {
    close(control)
  }
}

/** struct loop_config. */
function configOf(fd: number, file: { readonly path: string; readonly readonly: boolean }): Buffer {
  const config = Buffer.alloc(CONFIG_BYTES)
  config.writeUInt32LE(fd, 0)
  config.writeUInt32LE(file.readonly ? READ_ONLY : 0, FLAGS_AT)
  // For people only; the kernel has the whole path.
  config.write(file.path.slice(0, NAME_BYTES - 1), NAME_AT, 'latin1')
  return config
}

const TRIES = 100
const GET_FREE = 0x4c82
const CONFIGURE = 0x4c0a
const CLEAR = 0x4c01
const READ_ONLY = 1
const CONFIG_BYTES = 304
/** Of `lo_flags` and `lo_file_name`, in the struct loop_info64 that begins after two 32-bit numbers. */
const FLAGS_AT = 8 + 52
const NAME_AT = 8 + 56
const NAME_BYTES = 64
