import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readFileSync, readSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { attachLoop, detachLoop } from '../../../core/sys/loop.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { errno, scratch } from './scratch.js'

const skip = NEEDS_ROOT || (existsSync('/dev/loop-control') ? false : 'the kernel has no loop devices')

test('an attached file is a block device, and detached it is none', { skip }, async (t) => {
  const file = image(t)
  const before = openDescriptors()
  const device = await attachLoop(file)
  try {
    assert.match(device, /^\/dev\/loop\d+$/)
    assert.equal(told(device, 'loop/backing_file'), file)
    assert.equal(told(device, 'ro'), '0')
    assert.equal(told(device, 'size'), '2048')
    assert.equal(firstBytes(device), 'content')
  } finally {
    await detachLoop(device)
  }
  assert.equal(existsSync(`/sys/block/${nameOf(device)}/loop`), false)
  await assert.rejects(detachLoop(device), errno('ENXIO'))
  await assertNoneLeft(before)
})

test('a file attached read-only is not written through its device', { skip }, async (t) => {
  const device = await attachLoop(image(t), { readonly: true })
  try {
    assert.equal(told(device, 'ro'), '1')
    assert.equal(firstBytes(device), 'content')
  } finally {
    await detachLoop(device)
  }
})

test('attached at the same time, each file has a device of its own', { skip }, async (t) => {
  const files = Array.from({ length: 8 }, () => image(t))
  const devices = await Promise.all(files.map((file) => attachLoop(file)))
  try {
    assert.equal(new Set(devices).size, files.length)
    assert.deepEqual(
      devices.map((device) => told(device, 'loop/backing_file')),
      files,
    )
  } finally {
    for (const device of devices) await detachLoop(device)
  }
})

test('a device in use is detached at the end of the use', { skip }, async (t) => {
  const device = await attachLoop(image(t))
  const fd = openSync(device, 'r')
  await detachLoop(device)
  assert.equal(told(device, 'loop/autoclear'), '1')
  closeSync(fd)
  assert.equal(existsSync(`/sys/block/${nameOf(device)}/loop`), false)
})

test('a missing file is not attached', { skip }, async (t) => {
  const before = openDescriptors()
  await assert.rejects(attachLoop(join(scratch(t), 'missing')), errno('ENOENT'))
  await assertNoneLeft(before)
})

function image(t: TestContext): string {
  const file = join(scratch(t), 'image')
  writeFileSync(file, 'content')
  truncateSync(file, 1 << 20)
  return file
}

const nameOf = (device: string): string => device.slice('/dev/'.length)

function told(device: string, attribute: string): string {
  return readFileSync(`/sys/block/${nameOf(device)}/${attribute}`, 'latin1').trim()
}

function firstBytes(device: string): string {
  const fd = openSync(device, 'r')
  try {
    const bytes = Buffer.alloc(7)
    readSync(fd, bytes, 0, bytes.length, 0)
    return bytes.toString('latin1')
  } finally {
    closeSync(fd)
  }
}
