/** The layers that the benchmarks import: a large one of Debian packages, and an image of many small ones. */

import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packTree, unpackDebian } from '../../fixtures/base.js'
import { cached } from '../../fixtures/cache.js'
import { type CodeEntry, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'
import { skopeoCopy } from '../../fixtures/podman.js'

/** More than 100 MB and 10,000 entries. */
export interface BigLayer {
  readonly tar: string
  readonly gzip: string
  readonly zstd: string
  /** A docker archive and an OCI layout (gzip, `:1`) with that one layer. */
  readonly dockerArchive: string
  readonly layout: string
}

/** Layers of a build that changes a few files in each step. */
export interface SmallLayers {
  /** From the base up. */
  readonly tars: readonly string[]
  /** A docker archive of them. */
  readonly dockerArchive: string
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

export async function smallLayers(): Promise<SmallLayers> {
  const numbers = Array.from({ length: SMALL_LAYERS }, (_, i) => i)
  const place = await cached('bench-small', `${SMALL_LAYERS} layers 1`, async (directory) => {
    const tars: Buffer[] = []
    for (const number of numbers) {
      const tar = await tarOf(smallTree(number))
      writeFileSync(join(directory, `${number}.tar`), tar)
      tars.push(tar)
    }
    await writeDockerArchive(join(directory, 'image.tar'), 'varve.test/small:1', tars)
  })
  return {
    tars: numbers.map((number) => join(place, `${number}.tar`)),
    dockerArchive: join(place, 'image.tar'),
  }
}

const SMALL_LAYERS = 20

/** 10 directories with 8 files of 3 kB each. */
function smallTree(layer: number): readonly CodeEntry[] {
  return Array.from({ length: 10 }, (_, i) => `layer${layer}/part${i}/`).flatMap((directory) => [
    { header: { name: directory } },
    ...Array.from({ length: 8 }, (_, i) => ({
      header: { name: `${directory}file${i}` },
      content: `${directory}${i}\n`.repeat(200),
    })),
  ])
}

function compress(command: string, args: readonly string[], from: string, to: string): void {
  const out = openSync(to, 'w')
  try {
    execFileSync(command, [...args, '-c', from], { stdio: ['ignore', out, 'inherit'] })
  } finally {
    closeSync(out)
  }
}
