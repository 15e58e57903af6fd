/** Reads image archives only with tar, gzip and zstd, so independently of core. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface ReadImage {
  /** sha256 of the config's bytes, hex: the image's id. */
  readonly id: string
  /** `rootfs.diff_ids` of the config. */
  readonly diffIds: readonly string[]
  /** `sha256:…` of each layer's uncompressed tar in the archive. */
  readonly layers: readonly string[]
  /** The uncompressed layer tars, from the base up. */
  readonly files: readonly string[]
  /** The compression of each layer in the archive. */
  readonly compressions: readonly Compression[]
  readonly names: readonly string[]
}

export type Compression = 'none' | 'gzip' | 'zstd'

interface Manifest {
  readonly manifests?: readonly Descriptor[]
  readonly config?: Descriptor
  readonly layers?: readonly Descriptor[]
}
interface Descriptor {
  readonly digest: string
  readonly annotations?: Readonly<Record<string, string>>
}
interface DockerEntry {
  readonly Config: string
  readonly RepoTags: readonly string[] | null
  readonly Layers: readonly string[]
}

/** The images of an archive file or an OCI layout folder; `work` is a directory to unpack into. */
export function readImages(source: string, work: string): ReadImage[] {
  mkdirSync(work, { recursive: true })
  let folder = source
  if (!statSync(source).isDirectory()) {
    folder = join(work, 'archive')
    mkdirSync(folder)
    execFileSync('tar', ['-x', '-f', source, '-C', folder])
  }
  const names = readdirSync(folder)
  const plain = plainLayers(work)
  if (names.includes('manifest.json')) {
    const entries = json<readonly DockerEntry[]>(join(folder, 'manifest.json'))
    return entries.map((entry) =>
      image(
        join(folder, entry.Config),
        entry.Layers.map((layer) => join(folder, layer)),
        entry.RepoTags ?? [],
        plain,
      ),
    )
  }
  const blob = (digest: string) => join(folder, 'blobs', digest.replace(':', '/'))
  const index = json<Manifest>(join(folder, 'index.json'))
  return (index.manifests ?? []).map(({ digest, annotations }) => {
    const manifest = json<Manifest>(blob(digest))
    const layers = (manifest.layers ?? []).map((layer) => blob(layer.digest))
    const name = annotations?.['org.opencontainers.image.ref.name']
    return image(blob(manifest.config?.digest ?? ''), layers, name === undefined ? [] : [name], plain)
  })
}

type Plain = (file: string) => { readonly file: string; readonly compression: Compression }

function image(config: string, stored: readonly string[], names: readonly string[], plain: Plain): ReadImage {
  const bytes = readFileSync(config)
  const parsed = JSON.parse(bytes.toString()) as { rootfs: { diff_ids: string[] } }
  const layers = stored.map((file) => plain(file))
  return {
    id: createHash('sha256').update(bytes).digest('hex'),
    diffIds: parsed.rootfs.diff_ids,
    layers: layers.map(({ file }) => `sha256:${sha256File(file)}`),
    files: layers.map(({ file }) => file),
    compressions: layers.map(({ compression }) => compression),
    names,
  }
}

/** Decompresses layers to plain tars, each once, with consecutive names. */
function plainLayers(work: string): Plain {
  const known = new Map<string, ReturnType<Plain>>()
  return (file) => {
    const cached = known.get(file)
    if (cached !== undefined) return cached
    const compression = compressionOf(file)
    let plain = file
    if (compression !== 'none') {
      plain = join(work, `layer-${known.size}.tar`)
      const command = compression === 'gzip' ? 'gzip' : 'zstd'
      const out = openSync(plain, 'w')
      execFileSync(command, ['-dc', ...(compression === 'zstd' ? ['-q'] : []), file], {
        stdio: ['ignore', out, 'inherit'],
      })
      closeSync(out)
    }
    const result = { file: plain, compression }
    known.set(file, result)
    return result
  }
}

function compressionOf(file: string): Compression {
  const head = Buffer.alloc(4)
  const fd = openSync(file, 'r')
  readSync(fd, head)
  closeSync(fd)
  if (head.readUInt16BE() === 0x1f8b) return 'gzip'
  return head.readUInt32LE() === 0xfd2fb528 ? 'zstd' : 'none'
}

/** sha256 of a file, hex. */
export function sha256File(file: string): string {
  const hash = createHash('sha256')
  const chunk = Buffer.alloc(1 << 20)
  const fd = openSync(file, 'r')
  try {
    for (let length = readSync(fd, chunk); length > 0; length = readSync(fd, chunk)) {
      hash.update(chunk.subarray(0, length))
    }
    return hash.digest('hex')
  } finally {
    closeSync(fd)
  }
}

function json<T>(file: string): T {
  return JSON.parse(readFileSync(file, 'utf8')) as T
}
