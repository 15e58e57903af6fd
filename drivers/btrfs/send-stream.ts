/**
 * The stream of `btrfs send`, versions 1 and 2 (fs/btrfs/send.h and send.c of the kernel; btrfs docs, "Send stream format"):
 *
 *     "btrfs-stream\0" version:u32
 *     { length:u32 command:u16 crc:u32  { attribute:u16 length:u16 value }… }…      END
 *
 * all little-endian. The crc is that of the whole command with the crc itself as 0. In version 2 the attribute DATA has no
 * length: it is the rest of its command.
 */
import { VarveError } from '../../core/errors.js'
import { crc32c } from './crc32c.js'

export type CommandName = (typeof COMMANDS)[number][0]
export type AttributeName = (typeof ATTRIBUTES)[number]

export interface SendCommand {
  readonly name: CommandName
  /** Values are views that are valid during the call only. Those that the command needs are there. */
  readonly attributes: ReadonlyMap<AttributeName, Buffer>
}

export interface SendParser {
  /** Chunks of any size. @throws VarveError CORRUPT, and UNIMPLEMENTED for a version above 2 */
  push(chunk: Uint8Array): void
  /** The stream is over. @throws VarveError CORRUPT where it was cut off */
  end(): void
}

export function createSendParser(onCommand: (command: SendCommand) => void): SendParser {
  let kept = Buffer.alloc(0)
  let offset = 0
  let version = 0
  let ended = false

  const take = (bytes: Buffer): number => {
    if (version === 0) {
      if (bytes.length < HEADER) return 0
      version = versionOf(bytes)
      return HEADER
    }
    if (bytes.length < COMMAND_HEADER) return 0
    const size = COMMAND_HEADER + bytes.readUInt32LE(0)
    if (size > LARGEST) throw corrupt(offset, `a command of ${size} bytes, more than any can have`)
    if (bytes.length < size) return 0
    const command = parseCommand(bytes.subarray(0, size), version, offset)
    ended = command.name === 'end'
    onCommand(command)
    return size
  }

  return {
    push(chunk) {
      let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
      if (kept.length > 0) bytes = Buffer.concat([kept, bytes])
      while (bytes.length > 0) {
        if (ended) throw corrupt(offset, 'something follows its end')
        const taken = take(bytes)
        if (taken === 0) break
        offset += taken
        bytes = bytes.subarray(taken)
      }
      kept = Buffer.from(bytes)
    },
    end() {
      if (ended) return
      throw corrupt(offset + kept.length, 'it is cut off: there is no end command')
    },
  }
}

/** An attribute that the command needs, as a byte string: a path, a name. */
export function textOf({ name, attributes }: SendCommand, attribute: AttributeName): string {
  const value = attributes.get(attribute)
  if (value === undefined) throw new VarveError('CORRUPT', `btrfs send stream: ${name} without ${attribute}`)
  return value.toString('latin1')
}

function versionOf(bytes: Buffer): number {
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) throw corrupt(0, 'it does not begin as one')
  const version = bytes.readUInt32LE(MAGIC.length)
  if (version === 1 || version === 2) return version
  throw new VarveError('UNIMPLEMENTED', `btrfs send stream: version ${version}; versions 1 and 2 are known`)
}

function parseCommand(bytes: Buffer, version: number, offset: number): SendCommand {
  const found = COMMANDS[bytes.readUInt16LE(4)]
  if (found === undefined || (version === 1 && bytes.readUInt16LE(4) > LAST_OF_VERSION_1)) {
    throw corrupt(offset, `command ${bytes.readUInt16LE(4)} is not one of version ${version}`)
  }
  const [name, ...needed] = found
  const crc = [bytes.subarray(0, 6), NO_CRC, bytes.subarray(COMMAND_HEADER)].reduce((c, b) => crc32c(b, c), 0)
  if (crc !== bytes.readUInt32LE(6)) throw corrupt(offset, `the checksum of a ${name} command is wrong`)
  const attributes = new Map<AttributeName, Buffer>()
  for (let at = COMMAND_HEADER; at < bytes.length; ) {
    const bare = version >= 2 && at + 2 <= bytes.length && ATTRIBUTES[bytes.readUInt16LE(at)] === 'data'
    const start = at + (bare ? 2 : 4)
    if (start > bytes.length) throw corrupt(offset + at, `a ${name} command ends within an attribute`)
    const attribute = ATTRIBUTES[bytes.readUInt16LE(at)]
    const end = bare ? bytes.length : start + bytes.readUInt16LE(at + 2)
    if (attribute === undefined || attribute === 'unspecified' || end > bytes.length) {
      throw corrupt(offset + at, `a ${name} command has a malformed attribute`)
    }
    if (attributes.has(attribute)) throw corrupt(offset + at, `a ${name} command has ${attribute} twice`)
    attributes.set(attribute, bytes.subarray(start, end))
    at = end
  }
  const missing = needed.find((each) => !attributes.has(each))
  if (missing !== undefined) throw corrupt(offset, `a ${name} command has no ${missing}`)
  return { name, attributes }
}

function corrupt(offset: number, what: string): VarveError {
  return new VarveError('CORRUPT', `btrfs send stream: at byte ${offset}: ${what}`)
}

const MAGIC = 'btrfs-stream\0'
const HEADER = MAGIC.length + 4
const COMMAND_HEADER = 10
const NO_CRC = new Uint8Array(4)
/** A command holds at most 128 KiB of compressed data and a page or two around it (BTRFS_SEND_BUF_SIZE_V2). */
const LARGEST = 1 << 18

// biome-ignore format: a table
const ATTRIBUTES = [
  'unspecified', 'uuid', 'ctransid', 'ino', 'size', 'mode', 'uid', 'gid', 'rdev', 'ctime', 'mtime', 'atime', 'otime',
  'xattr_name', 'xattr_data', 'path', 'path_to', 'path_link', 'file_offset', 'data', 'clone_uuid', 'clone_ctransid',
  'clone_path', 'clone_offset', 'clone_len', 'fallocate_mode', 'fileattr', 'unencoded_file_len', 'unencoded_len',
  'unencoded_offset', 'compression', 'encryption',
] as const

const LAST_OF_VERSION_1 = 22

/** By number: the name, and the attributes without which it means nothing. */
const COMMANDS = [
  ['unspecified'],
  ['subvol', 'path'],
  ['snapshot', 'path'],
  ['mkfile', 'path'],
  ['mkdir', 'path'],
  ['mknod', 'path', 'mode', 'rdev'],
  ['mkfifo', 'path'],
  ['mksock', 'path'],
  ['symlink', 'path', 'path_link'],
  ['rename', 'path', 'path_to'],
  ['link', 'path', 'path_link'],
  ['unlink', 'path'],
  ['rmdir', 'path'],
  ['set_xattr', 'path', 'xattr_name', 'xattr_data'],
  ['remove_xattr', 'path', 'xattr_name'],
  ['write', 'path', 'file_offset', 'data'],
  ['clone', 'path', 'file_offset', 'clone_path', 'clone_offset', 'clone_len'],
  ['truncate', 'path', 'size'],
  ['chmod', 'path', 'mode'],
  ['chown', 'path', 'uid', 'gid'],
  ['utimes', 'path', 'mtime'],
  ['end'],
  ['update_extent', 'path', 'file_offset', 'size'],
  ['fallocate', 'path', 'fallocate_mode', 'file_offset', 'size'],
  ['fileattr', 'path', 'fileattr'],
  ['encoded_write', 'path', 'file_offset', 'data'],
] as const
