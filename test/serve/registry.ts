/** As much of a registry as a pull needs: the images of an OCI layout by tag, and the first image for any other tag. */
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

export interface Registry {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** The requests, in order: `GET blobs sha256:…`. */
  readonly requests: readonly string[]
  close(): void
}

export async function openRegistry(layout: string): Promise<Registry> {
  const { manifests } = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as Index
  const [first] = manifests
  if (first === undefined) throw new Error(`${layout}: no manifest`)
  const requests: string[] = []
  const server = createServer(({ url = '', method = '' }, response) => {
    const [, kind = '', reference = ''] = /^\/v2\/.+\/(manifests|blobs)\/([^/?]+)/.exec(url) ?? []
    if (url === '/v2/') return response.end('{}')
    requests.push(`${method} ${kind} ${reference}`)
    const tagged = manifests.find(({ annotations }) => annotations?.[REF_NAME] === reference) ?? first
    const digest = reference.startsWith('sha256:') ? reference : tagged.digest
    const manifest = manifests.find((each) => each.digest === digest)
    const file = join(layout, 'blobs', digest.replace(':', '/'))
    if (kind === '' || !existsSync(file)) return response.writeHead(404).end()
    response.writeHead(200, {
      'content-type': manifest?.mediaType ?? 'application/octet-stream',
      'content-length': statSync(file).size,
      'docker-content-digest': digest,
    })
    return method === 'HEAD' ? response.end() : createReadStream(file).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const REF_NAME = 'org.opencontainers.image.ref.name'

interface Index {
  readonly manifests: readonly {
    readonly digest: string
    readonly mediaType: string
    readonly annotations?: Readonly<Record<string, string>>
  }[]
}
