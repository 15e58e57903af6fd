/** The image that engines load: four layers, as in builds that install Debian packages and add a program. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packTree, unpackDebian } from '../../fixtures/base.js'
import { cached } from '../../fixtures/cache.js'
import { type CodeEntry, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'

/** The packages of a base system, a program's runtime, and its build tools. */
const INSTALLED = [
  'base-files bash busybox-static libc6 libtinfo6 perl-base tzdata',
  'libicu72 libpython3.11-minimal libpython3.11-stdlib python3.11-minimal',
  'libboost1.74-dev',
]

/** The tars of the layers, from the base up; the third has most of the files. */
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

/** Writes a docker archive of these layers, each with an additional file that makes it differ from other editions. */
export async function writeEdition(file: string, name: string, edition: string): Promise<void> {
  const layers: Buffer[] = []
  for (const [i, tar] of (await engineLayers()).entries()) {
    const mark = await tarOf([{ header: { name: `edition${i}` }, content: `${edition}\n` }])
    layers.push(Buffer.concat([mark.subarray(0, 1024), readFileSync(tar)]))
  }
  await writeDockerArchive(file, name, layers)
}

/** The program: 400 files, and what it deletes and changes in the layers below. */
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
