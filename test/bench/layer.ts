/** A layer of more than 100 MB and 10,000 entries, of Debian packages, in the forms the benchmarks need. */

import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packTree, unpackDebian } from '../../fixtures/base.js'
import { cached } from '../../fixtures/cache.js'
import { writeDockerArchive } from '../../fixtures/docker-archive.js'
import { skopeoCopy } from '../../fixtures/podman.js'

export interface BigLayer {
  readonly tar: string
  readonly gzip: string
  readonly zstd: string
  /** A docker archive and an OCI layout (gzip, `:1`) with that one layer. */
  readonly dockerArchive: string
  readonly layout: string
}

const PACKAGES = ['base-files', 'busybox-static', 'libboost1.74-dev', 'perl-base', 'libicu72']

export async function bigLayer(): Promise<BigLayer> {
  const place = await cached('bench', `${PACKAGES} 1`, async (directory) => {
    const work = mkdtempSync(join(tmpdir(), 'varve-bench-'))
    const tar = join(directory, 'layer.tar')
    try {
      await unpackDebian(PACKAGES, join(work, 'root'), join(work, 'debs'))
      await packTree(join(work, 'root'), tar)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
    compress('gzip', ['-6', '-n'], tar, `${tar}.gz`)
    compress('zstd', ['-q', '-3'], tar, `${tar}.zst`)
    await writeDockerArchive(join(directory, 'image.tar'), 'varve.test/big:1', [readFileSync(tar)])
    await skopeoCopy(`docker-archive:${join(directory, 'image.tar')}`, `oci:${join(directory, 'layout')}:1`)
  })
  return {
    tar: join(place, 'layer.tar'),
    gzip: join(place, 'layer.tar.gz'),
    zstd: join(place, 'layer.tar.zst'),
    dockerArchive: join(place, 'image.tar'),
    layout: join(place, 'layout'),
  }
}

function compress(command: string, args: readonly string[], from: string, to: string): void {
  const out = openSync(to, 'w')
  try {
    execFileSync(command, [...args, '-c', from], { stdio: ['ignore', out, 'inherit'] })
  } finally {
    closeSync(out)
  }
}
