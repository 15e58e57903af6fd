/** A volume plug-in for dockerd: volumes are directories of the test. It records who has a volume mounted. */
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { collect } from '../docker/client.js'

export interface VolumePlugin {
  /** The directory of a volume. */
  directoryOf(name: string): string
  /** Who has it mounted now, by ids from dockerd. */
  holders(name: string): readonly string[]
  close(): void
}

interface Question {
  readonly Name?: string
  readonly ID?: string
}

/** Listens at `socket`. Volumes are directories in `place`, which dockerd must see under the same path. */
export async function openVolumePlugin(socket: string, place: string): Promise<VolumePlugin> {
  mkdirSync(place)
  const held = new Map<string, Set<string>>()
  const directoryOf = (name: string) => join(place, name)
  const known = (name: string): Set<string> => {
    const holders = held.get(name)
    if (holders === undefined) throw new Error(`there is no volume ${name}`)
    return holders
  }
  const described = (name: string) => ({ Name: name, Mountpoint: directoryOf(name), Status: {} })
  const methods: Readonly<Record<string, (name: string, id: string) => object>> = {
    'Plugin.Activate': () => ({ Implements: ['VolumeDriver'] }),
    'VolumeDriver.Capabilities': () => ({ Capabilities: { Scope: 'local' } }),
    'VolumeDriver.Create'(name) {
      mkdirSync(directoryOf(name), { recursive: true })
      if (!held.has(name)) held.set(name, new Set())
      return {}
    },
    'VolumeDriver.Get': (name) => ({ Volume: known(name) && described(name) }),
    'VolumeDriver.List': () => ({ Volumes: readdirSync(place).map(described) }),
    'VolumeDriver.Path': (name) => ({ Mountpoint: known(name) && directoryOf(name) }),
    'VolumeDriver.Mount'(name, id) {
      known(name).add(id)
      return { Mountpoint: directoryOf(name) }
    },
    'VolumeDriver.Unmount'(name, id) {
      if (!known(name).delete(id)) throw new Error(`${id} does not have ${name} mounted`)
      return {}
    },
    'VolumeDriver.Remove'(name) {
      if (known(name).size > 0) throw new Error(`${name} is mounted`)
      rmSync(directoryOf(name), { recursive: true })
      held.delete(name)
      return {}
    },
  }
  const answerTo = (method: string, { Name = '', ID = '' }: Question): object => {
    try {
      const answer = methods[method]
      if (answer === undefined) throw new Error(`there is no method ${method}`)
      return answer(Name, ID)
    } catch (error) {
      return { Err: String(error) }
    }
  }
  const server = createServer(async (request, response) => {
    const body = (await collect(request)).toString('utf8')
    const answer = answerTo((request.url ?? '').slice(1), JSON.parse(body || '{}') as Question)
    response.setHeader('content-type', 'application/vnd.docker.plugins.v1.1+json')
    response.end(JSON.stringify(answer))
  })
  await once(server.listen(socket), 'listening')
  return {
    directoryOf,
    holders: (name) => [...(held.get(name) ?? [])],
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
