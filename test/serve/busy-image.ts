/** A small image to run containers from: busybox of Debian's package, and files that are hard for a layer to keep. */
import { join } from 'node:path'
import { baseImage } from '../../fixtures/base.js'
import { commandBytes } from '../../fixtures/command.js'
import { type CodeEntry, file, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'

export const IMAGE = 'varve.test/busy:1'

const APPLETS = 'sh cat cp echo ln ls mkdir mv rm sleep stat test touch true chmod mknod ps find sort'.split(
  ' ',
)

/** Writes it as a docker archive. Needs what fixtures/base.ts needs. */
export async function writeBusyImage(file: string): Promise<void> {
  await writeDockerArchive(file, IMAGE, await busyLayers())
}

/** The tars of its layers, from the base up. */
export async function busyLayers(): Promise<readonly Buffer[]> {
  const base = join(await baseImage('small'), 'base.tar')
  const busybox = await commandBytes('tar', ['-xOf', base, './usr/bin/busybox'])
  return [await tarOf(below(busybox)), await tarOf(ABOVE)]
}

function below(busybox: Buffer): readonly CodeEntry[] {
  return [
    ...['etc/', 'srv/', 'srv/keep/', 'srv/gone/', 'usr/', 'usr/bin/'].map((name) => ({ header: { name } })),
    { header: { name: 'tmp/', mode: 0o1777 } },
    { header: { name: 'bin', type: 'symlink', linkname: 'usr/bin' } },
    { header: { name: 'usr/bin/busybox', mode: 0o755 }, content: busybox },
    ...APPLETS.map(
      (name): CodeEntry => ({ header: { name: `usr/bin/${name}`, type: 'symlink', linkname: 'busybox' } }),
    ),
    { header: { name: 'etc/passwd' }, content: 'root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' },
    ...Array.from({ length: 30 }, (_, i) => file(`srv/keep/${i}`, `keep ${i}\n`.repeat(i + 1))),
    file('srv/gone/1', 'gone\n'),
    file('srv/old', 'old\n'),
    file('srv/one', 'hard\n'),
    { header: { name: 'srv/two', type: 'link', linkname: 'srv/one' } },
  ]
}

/** Deletes a file, empties a directory, and changes files. */
const ABOVE: readonly CodeEntry[] = [
  { header: { name: 'srv/' } },
  { header: { name: 'srv/gone/' } },
  file('srv/gone/.wh..wh..opq', ''),
  file('srv/gone/2', 'new\n'),
  file('srv/.wh.old', ''),
  { header: { name: 'srv/keep/' } },
  file('srv/keep/7', 'seven\n'),
]
