import assert from 'node:assert/strict'
import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { spoolDecompressed } from '../../../core/formats/read/spool.js'
import { assertNoneLeft, openDescriptors } from '../../support/descriptors.js'
import { tempDirs } from './build.js'

test('a report of progress that fails, from a timer too, fails the call and not the process', async (t) => {
  const { dir, scratch } = tempDirs(t)
  const packed = gzipSync(Buffer.alloc(256 << 20))
  writeFileSync(join(dir, 'zeros.gz'), packed)
  const fd = openSync(join(dir, 'zeros.gz'), 'r')
  const before = openDescriptors()
  let reports = 0
  const progress = () => {
    reports++
    throw new Error('nobody takes this')
  }
  const blob = { fd, offset: 0, size: packed.length, label: 'zeros.gz' }
  await assert.rejects(spoolDecompressed(blob, 'gzip', { scratch, progress }), /nobody takes this/)
  assert.ok(reports > 0)
  await assertNoneLeft(before)
  closeSync(fd)
})
