/**
 * A driver that keeps the tar of each layer that it is filled with (Driver.tar): the given one, with the tars in files beside
 * its layers. Its files are still those of the other driver, so what is done to them behind its back is not noticed.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ByteChannel,
  createChannel,
  type Driver,
  type DriverModule,
  drain,
  isCode,
  type LayerId,
  pump,
  recycle,
} from '../../drivers/kit.js'

export function keepingTars(module: DriverModule): DriverModule {
  return {
    ...module,
    holdsLayers: (home) => module.holdsLayers(join(home, 'layers')),
    async open(context) {
      const tars = tarsOf(context.home)
      mkdirSync(tars, { recursive: true })
      const driver = await module.open({ ...context, home: join(context.home, 'layers') })
      return withTars(driver, tars)
    },
  }
}

/** The folder of the tars, a file for each layer. */
export function tarsOf(home: string): string {
  return join(home, 'tars')
}

function withTars(driver: Driver, tars: string): Driver {
  const place = (id: LayerId) => join(tars, id)
  return {
    ...driver,
    async create(id, options) {
      await driver.create(id, options)
      if (!options.writable) writeFileSync(place(id), '')
    },
    async remove(id) {
      await driver.remove(id)
      rmSync(place(id), { force: true })
    },
    async apply(id, tar, options) {
      if (!existsSync(place(id))) return driver.apply(id, tar, options)
      const { sink, channel } = createChannel()
      const [pumped, applied] = await Promise.allSettled([
        pump(savedOnTheWay(tar, place(id)), sink),
        driver.apply(id, channel, options),
      ])
      recycle(sink)
      // Whichever side failed, the other one was only cancelled.
      if (pumped.status === 'rejected' && !isCode(pumped.reason, 'CANCELLED')) throw pumped.reason
      if (applied.status === 'rejected') throw applied.reason
      if (pumped.status === 'rejected') throw pumped.reason
      return applied.value
    },
    ...(driver.heal && {
      async heal(id, good, options) {
        if (existsSync(place(good))) copyFileSync(place(good), place(id))
        return (await driver.heal?.(id, good, options)) ?? { changed: 0 }
      },
    }),
    async tar(id) {
      await driver.metadata(id) // NOT_FOUND
      return existsSync(place(id)) ? bytesOf(place(id)) : undefined
    },
  }
}

async function* savedOnTheWay(tar: ByteChannel, path: string): AsyncGenerator<Uint8Array, void> {
  const fd = openSync(path, 'w')
  try {
    for await (const chunk of drain(tar)) {
      writeSync(fd, chunk)
      yield chunk
    }
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array, void> {
  const file = await open(path)
  try {
    yield* file.createReadStream({ autoClose: false })
  } finally {
    await file.close()
  }
}
