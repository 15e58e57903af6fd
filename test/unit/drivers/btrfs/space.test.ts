/** Quota, and a full disk. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { type LayerId, parseLayerId } from '../../../../core/ids.js'
import { createChannel, pump } from '../../../../core/threads/channel.js'
import { qgroupNumbers, subvolumeInfo } from '../../../../drivers/btrfs/ioctls.js'
import type { Bench } from '../bench.js'
import { folderOf, type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'

describe('a btrfs with quota', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => loop.close())

  it('limits a layer to its size: half fits, more is EDQUOT, also by a tar', () =>
    withLayers(loop.path, async (bench) => {
      const size = 50 * 1024 * 1024
      const id = parseLayerId('limited')
      await bench.driver.create(id, { writable: true, options: new Map([['size', '50M']]) })
      assert.match(bench.warnings.join(), /quota is now on/)
      const write = (name: string, bytes: number) => {
        const fd = fs.openSync(`${subvolumeOf(bench, id)}/${name}`, 'w')
        try {
          fs.writeSync(fd, Buffer.alloc(bytes, 1))
          fs.fsyncSync(fd)
        } finally {
          fs.closeSync(fd)
        }
      }
      write('half', size / 2)
      assert.throws(
        () => {
          for (let i = 0; i < 30; i++) write(`more${i}`, 1 << 20)
        },
        { errno: -122 },
      )
      const { metadata } = bench.driver
      assert.equal((await metadata(id))['Size Limit'], String(size))
      execFileSync('sync', ['-f', loop.path])
      assert.ok(Number((await metadata(id)).Exclusive) > size / 2, JSON.stringify(await metadata(id)))

      const parent = await bench.written(undefined, () => {})
      const child = parseLayerId('child')
      await bench.driver.create(child, { parent, writable: true, options: new Map([['size', '8M']]) })
      await assert.rejects(applied(bench, child, 20 << 20), {
        code: 'RESOURCE_EXHAUSTED',
        message: /EDQUOT/,
      })
      const number = subvolumeInfo(subvolumeOf(bench, child)).id
      assert.notEqual(qgroupNumbers(loop.path, number), undefined)
      for (const each of [child, id]) await bench.driver.remove(each)
      assert.deepEqual(folderOf(bench), [parent])
    }))
})

describe('a btrfs that is full', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop('160M')
  })
  after(() => loop.close())

  it('reports it, leaves nothing half-made, and still removes layers', () =>
    withLayers(loop.path, async (bench) => {
      const parent = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
      const child = await bench.create({ parent })
      await assert.rejects(applied(bench, child, 400 << 20), {
        code: 'RESOURCE_EXHAUSTED',
        message: /apply a tar to layer layer\d+: .*ENOSPC/,
      })
      await bench.driver.remove(child)
      assert.deepEqual(folderOf(bench), [parent])
      await fill(bench, parent)
      assert.deepEqual(
        folderOf(bench).filter((name) => name.includes('~')),
        [],
      )
    }))
})

/** Fills the disk with small layers until even a snapshot or a file in it fails, then removes them all. */
async function fill(bench: Bench, parent: LayerId): Promise<void> {
  const made: LayerId[] = []
  try {
    for (let i = 0; i < 200; i++) {
      const id = await bench.create({ parent, writable: true })
      made.push(id)
      fs.writeFileSync(`${subvolumeOf(bench, id)}/data`, Buffer.alloc(4 << 20, i))
      await bench.driver.seal(id)
    }
    assert.fail('the disk never became full')
  } catch (error) {
    const said = error instanceof Error && 'code' in error ? error.code : error
    assert.ok(said === 'ENOSPC' || said === 'RESOURCE_EXHAUSTED', String(error))
  }
  for (const id of made) await bench.driver.remove(id)
}

/** Waits for both sides to end. @throws the driver's own error */
async function applied(bench: Bench, id: LayerId, size: number): Promise<void> {
  const { sink, channel } = createChannel()
  const pumped = pump(Readable.from(tarOf(size)), sink).catch(() => 'the driver gave up')
  try {
    await bench.driver.apply(id, channel, { scratch: `${bench.root}/scratch` })
  } finally {
    await pumped
  }
}

/** A tar of one file of `size` bytes, a MiB at a time. */
function* tarOf(size: number): Generator<Buffer> {
  const header = Buffer.alloc(512)
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
  header.write('big', 0)
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12), 100)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte),
      7,
    ),
    148,
  )
  yield header
  const chunk = Buffer.alloc(1 << 20, 'content')
  for (let left = size; left > 0; left -= chunk.length) yield chunk
  yield Buffer.alloc(1024)
}
