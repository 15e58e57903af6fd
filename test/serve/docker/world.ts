/** A service on a backend and a client, for tests of the plug-in protocol without dockerd. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Varve, varveAt } from '../../support/varve.js'
import type { ServeCell } from '../cells.js'
import { type Serving, startServing } from '../serving.js'
import { type DockerClient, dockerClient } from './client.js'

export interface DockerWorld {
  readonly driver: string
  /** An empty directory beside the store. */
  readonly place: string
  readonly varve: Varve
  readonly client: DockerClient
  service(): Serving
  /** Ends the service and starts it again. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** Afterwards the service must end with status 0 and the store must check clean. An error includes the log. */
export async function withDocker(cell: ServeCell, use: (world: DockerWorld) => Promise<void>): Promise<void> {
  await cell.within(async (place) => {
    const { driver } = cell
    const root = join(place, 'root')
    const socket = join(place, 'socket')
    const start = () =>
      startServing('docker', { root, driver, socket, args: ['--metrics', join(place, 'metrics')] })
    let service = await start()
    const varve = varveAt(root, driver)
    try {
      await use({
        driver,
        place,
        varve,
        client: dockerClient(socket),
        service: () => service,
        async restart(signal) {
          const status = await service.end(signal)
          assert.equal(status, signal === 'SIGKILL' ? 'SIGKILL' : 0, service.log())
          service = await start()
        },
      })
      assert.equal(await service.end('SIGTERM'), 0, service.log())
      assert.ok(!service.log().includes('INTERNAL'), service.log())
      const findings = await varve.attempt(['check', '--data'])
      assert.equal(findings.status, 0, findings.stdout + findings.stderr)
    } catch (error) {
      throw new Error(`the service said:\n${service.log().slice(-6000)}`, { cause: error })
    } finally {
      await service.end('SIGKILL')
      for (const target of mountsBelow(place)) execFileSync('umount', ['-l', target])
    }
  })
}

/** Mount points that a failed test left below a directory. */
function mountsBelow(directory: string): readonly string[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const targets = lines.map((line) => line.split(' ')[1] ?? '')
  return targets.filter((target) => target.startsWith(`${directory}/`)).reverse()
}
