/** What engines load: an image of four layers, as builds make them that install Debian packages and add a program. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packTree, unpackDebian } from '../../fixtures/base.js'
import { cached } from '../../fixtures/cache.js'
import { type CodeEntry, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'

/** A base system, what a program runs on, and what it is built with. */
const INSTALLED = [
  'base-files bash busybox-static libc6 libtinfo6 perl-base tzdata',
  'libicu72 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal',
  'libboost1.74-dev',
]

/** The layers' tars, from the base up; the third has most of the files. */
async function engineLayers(): Promise<readonly string[]> {
  const place = await cached('bench-engine', `${INSTALLED.join('\n')} 2`, async (directory) => {
    const work = mkdtempSync(join(tmpdir(), 'varve-bench-'))
    try {
      for (const [i, packages] of INSTALLED.entries()) {
        const root = join(work, `root${i}`)
        await unpackDebian(packages.split(' '), root, join(work, `debs${i}`))
        await packTree(root, join(directory, `${i}.tar`))
      }
      writeFileSync(join(directory, `${INSTALLED.length}.tar`), await tarOf(PROGRAM))
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  })
  return [...INSTALLED, PROGRAM].map((_, i) => join(place, `${i}.tar`))
}

/** A docker archive of these layers, each with a file more that tells it from those of any other `edition`. */
export async function writeEdition(file: string, name: string, edition: string): Promise<void> {
  const layers: Buffer[] = []
  for (const [i, tar] of (await engineLayers()).entries()) {
    const mark = await tarOf([{ header: { name: `edition${i}` }, content: `${edition}\n` }])
    layers.push(Buffer.concat([mark.subarray(0, 1024), readFileSync(tar)]))
  }
  await writeDockerArchive(file, name, layers)
}

/** 400 files of its own, and what it takes away and changes below. */
const PROGRAM: readonly CodeEntry[] = [
  { header: { name: 'usr/' } },
  { header: { name: 'usr/share/' } },
  { header: { name: 'usr/share/.wh.doc' }, content: '' },
  { header: { name: 'etc/' } },
  { header: { name: 'etc/debian_version' }, content: '12\n' },
  { header: { name: 'srv/' } },
  ...Array.from({ length: 20 }, (_, i) => `srv/part${i}/`).flatMap((directory): readonly CodeEntry[] => [
    { header: { name: directory } },
    ...Array.from({ length: 20 }, (_, i) => ({
      header: { name: `${directory}file${i}` },
      content: `${directory}${i}\n`.repeat(100 * (i + 1)),
    })),
  ]),
]
