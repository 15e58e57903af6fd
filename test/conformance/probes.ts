/**
 * What the file system inside a layer can hold, found by trying. Each probe returns the reason why it can't, or undefined.
 */
import * as fs from 'node:fs'
import { readAttributes, setAttribute, setTime } from '../support/libc.js'
import type { World } from './world.js'

type Probe = (world: World) => Promise<string | undefined>

/** tmpfs takes user.* attributes only since Linux 6.6. */
export const keepsUserAttributes: Probe = (world) =>
  inLayer(world, (file) => {
    try {
      setAttribute(file, 'user.x', 'x')
      return readAttributes(file).get('user.x') === 'x' ? undefined : 'user.* attributes are not kept here'
    } catch (error) {
      return `no user.* attributes here: ${error instanceof Error ? error.message : String(error)}`
    }
  })

/** ext4 with small inodes and xfs without bigtime end in 2038. */
export function keepsTimes(times: readonly bigint[]): Probe {
  return (world) =>
    inLayer(world, (file) => {
      for (const time of times) {
        setTime(file, time)
        const kept = fs.lstatSync(file, { bigint: true }).mtimeNs
        if (kept !== time) return `the time ${time} ns becomes ${kept} here`
      }
      return undefined
    })
}

/** Does `make` succeed when it is called with the root of a writable layer? */
export function lets(make: (root: string) => void): (world: World) => Promise<boolean> {
  return async (world) => {
    const reason = await inLayer(world, (_, root) => {
      try {
        make(root)
        return undefined
      } catch (error) {
        return String(error)
      }
    })
    return reason === undefined
  }
}

async function inLayer(
  world: World,
  look: (file: Buffer, root: string) => string | undefined,
): Promise<string | undefined> {
  let found: string | undefined
  await world.withDriver(async (bench) => {
    const id = await bench.create({ writable: true })
    found = await bench.mounted(id, 'rw', (root) => {
      const file = Buffer.from(`${root}/probe`)
      fs.writeFileSync(file, '')
      return look(file, root)
    })
  })
  return found
}
