/** Send streams: the kernel's, recorded in a file, and handmade ones. */
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Change } from '../../../../core/driver.js'
import { crc32c } from '../../../../drivers/btrfs/crc32c.js'
import { send, subvolumeInfo } from '../../../../drivers/btrfs/ioctls.js'
import { confirm } from '../../../../drivers/btrfs/send-changes.js'
import { createReplay } from '../../../../drivers/btrfs/send-replay.js'
import { createSendParser, type SendCommand } from '../../../../drivers/btrfs/send-stream.js'

/** The kernel's stream between two read-only subvolumes; a full stream where `old` is undefined. */
export function recordStream(old: string | undefined, now: string): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'varve-stream-'))
  const file = join(directory, 'stream')
  const [fd, into] = [openSync(now, constants.O_RDONLY), openSync(file, 'wx')]
  try {
    send(fd, into, old === undefined ? 0 : subvolumeInfo(old).id)
    return readFileSync(file)
  } finally {
    closeSync(fd)
    closeSync(into)
    rmSync(directory, { recursive: true })
  }
}

/** The changes that the driver finds, in this thread. */
export function streamedChanges(old: string, now: string): readonly Change[] {
  const replay = createReplay()
  const parser = createSendParser(replay.command)
  parser.push(recordStream(old, now))
  parser.end()
  const [before, after] = [openSync(old, constants.O_RDONLY), openSync(now, constants.O_RDONLY)]
  try {
    return confirm(before, after, replay.candidates())
  } finally {
    closeSync(before)
    closeSync(after)
  }
}

/** The commands as text, `name attribute=value …`, with values as byte strings. */
export function parseAll(chunks: Iterable<Uint8Array>): string[] {
  const lines: string[] = []
  const parser = createSendParser(({ name, attributes }: SendCommand) => {
    const words = [...attributes].map(([key, value]) => `${key}=${value.toString('latin1')}`)
    lines.push([name, ...words].join(' '))
  })
  for (const chunk of chunks) parser.push(chunk)
  parser.end()
  return lines
}

export type Attribute = readonly [type: number, value: string]

/** A stream's header. */
export function header(version: number): Buffer {
  const bytes = Buffer.from('btrfs-stream\0....', 'latin1')
  bytes.writeUInt32LE(version, 13)
  return bytes
}

/** A command with a valid checksum. `bare`: its last attribute has no length, like DATA in version 2. */
export function command(number: number, attributes: readonly Attribute[], bare = false): Buffer {
  const parts = attributes.map(([type, value], index) => {
    const head = Buffer.alloc(bare && index === attributes.length - 1 ? 2 : 4)
    head.writeUInt16LE(type, 0)
    if (head.length === 4) head.writeUInt16LE(value.length, 2)
    return Buffer.concat([head, Buffer.from(value, 'latin1')])
  })
  const bytes = Buffer.concat([Buffer.alloc(10), ...parts])
  bytes.writeUInt32LE(bytes.length - 10, 0)
  bytes.writeUInt16LE(number, 4)
  bytes.writeUInt32LE(crc32c(bytes), 6)
  return bytes
}
