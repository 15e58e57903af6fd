/**
 * Nothing from a layer or from the working directory is run. Programs with the names that varve runs, and files that control
 * the system's loader, are planted in an image, in the working directory and in relative folders of PATH.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { SERVE_CELLS, type ServeCell } from '../../serve/cells.js'
import { CLI } from '../../support/varve.js'
import { dockerContent, imageOf, tarOf } from '../../unit/formats/build.js'
import { countCases, sized } from '../size.js'

const PROGRAMS = [
  'zstd',
  'unzstd',
  'gzip',
  'igzip',
  'pigz',
  'btrfs',
  'tar',
  'sh',
  'mount',
  'umount',
  'modprobe',
]
const PLACES = ['', 'bin/', 'sbin/', 'usr/bin/', 'usr/local/sbin/']

/** Each command runs in the directory with the programs and the image. */
const COMMANDS: readonly string[] = [
  'import image.tar',
  'import image.tar.gz',
  'import image.tar.zst',
  'import --layer layer.tar.gz',
  'import --layer layer.tar.zst',
  'images',
  'layers',
  'inspect app:1',
  'ls app:1',
  'cat app:1 bin/sh',
  'diff app:1#0 app:1',
  'diff app:1#0 app:1 --stat',
  'export app:1 -o out-gzip.tar --compress gzip',
  'export app:1 -o out-zstd.tar --format oci-archive --compress zstd',
  'import out-zstd.tar',
  'create --id work --parent app:1',
  'mount work',
  'umount work',
  'diff work --tar',
  'commit work --name app:2',
  'check --data',
  'repair --from image.tar',
  'rm app:2',
  'prune',
]

describe('nothing from a layer or from the working directory is run', () => {
  const cells = SERVE_CELLS.filter(({ driver }) => driver !== 'vfs')
  for (const cell of sized(cells.slice(0, 1), cells)) {
    it(`on ${cell.driver}: no planted program leaves its mark`, { skip: cell.skip }, (t) =>
      cell.within(async (place) => {
        await tryAll(cell, place)
        countCases(t, COMMANDS.length)
      }),
    )
  }
})

async function tryAll({ driver }: ServeCell, place: string): Promise<void> {
  const [marks, here] = [join(place, 'marks'), join(place, 'here')]
  fs.mkdirSync(marks, { mode: 0o777 })
  const planted = plantedFiles(marks)
  for (const [path, text] of Object.entries(planted)) {
    fs.mkdirSync(join(here, path, '..'), { recursive: true })
    fs.writeFileSync(join(here, path), text, { mode: 0o755 })
  }
  execFileSync(join(here, 'bin/zstd'))
  assert.deepEqual(fs.readdirSync(marks), ['zstd'], 'a planted program that is run leaves its mark')
  fs.rmSync(join(marks, 'zstd'))

  const layers = [executable(tarOf({ ...planted, 'var/': '', 'var/a': 'a' })), tarOf({ 'var/b': 'b' })]
  const image = tarOf(dockerContent([{ ...imageOf(layers), tags: ['app:1'] }]))
  const [layer = image] = layers
  for (const [name, bytes] of [
    ['image.tar', image],
    ['layer.tar', layer],
  ] as const) {
    const file = join(here, name)
    fs.writeFileSync(file, bytes)
    fs.writeFileSync(`${file}.gz`, gzipSync(bytes))
    execFileSync('zstd', ['-q', file, '-o', `${file}.zst`])
  }
  const PATH = ['.', 'bin', '', './usr/bin', '../here/sbin', process.env.PATH ?? ''].join(':')
  for (const words of COMMANDS) {
    const ran = spawnSync(
      process.execPath,
      [CLI, '--root', join(place, 'root'), '--driver', driver, ...words.split(' ')],
      { cwd: here, env: { PATH, VARVE_PATH: '.:bin', HOME: here }, encoding: 'latin1' },
    )
    assert.equal(ran.status, 0, `${words}: ${ran.stderr}`)
    // The loader would complain about a planted ld.so.preload.
    assert.doesNotMatch(ran.stderr, /ld\.so/, words)
    assert.deepEqual(fs.readdirSync(marks), [], words)
  }
}

/** The planted files, by path, for a layer and for a directory. */
function plantedFiles(marks: string): Readonly<Record<string, string>> {
  const programs = PLACES.flatMap((folder) =>
    PROGRAMS.map((name) => [`${folder}${name}`, `#!/bin/sh\n: > ${join(marks, name)}\n`] as const),
  )
  return {
    ...Object.fromEntries(programs),
    'etc/ld.so.preload': '/lib/evil.so\n',
    'etc/nsswitch.conf': 'passwd: evil\ngroup: evil\n',
    'lib/libnss_evil.so.2': 'no library',
    'lib/evil.so': 'no library',
    'node_modules/koffi/index.js': `require('fs').writeFileSync(${JSON.stringify(join(marks, 'koffi'))}, '')\n`,
  }
}

/** The tar with all modes set to 0755. */
function executable(tar: Buffer): Buffer {
  const copy = Buffer.from(tar)
  for (let at = 0; at < copy.length && copy[at] !== 0; ) {
    const header = copy.subarray(at, at + 512)
    header.write('0000755\0', 100)
    header.write(' '.repeat(8), 148)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    const size = Number.parseInt(header.toString('latin1', 124, 135), 8)
    at += 512 + Math.ceil(size / 512) * 512
  }
  return copy
}
