/**
 * The loop devices of the images. Which device has which image the kernel alone knows: after a reboot none has any, and the next
 * device of an image may be another one. Paths are byte strings.
 */
import { setTimeout } from 'node:timers/promises'
import { attachLoop, detachLoop, readdir, readSmall, toText, VarveError } from '../../../drivers/kit.js'

/** udev opens every new device for a moment. */
const TRIES = 50
const PAUSE = 20

/** The devices that have an image, by its path. */
export function devices(): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const name of readdir('/sys/block')) {
    const image = readSmall(`/sys/block/${name}/loop/backing_file`)
    if (image !== undefined) found.set(image.trimEnd(), `/dev/${name}`)
  }
  return found
}

/**
 * The device of the image, attached where it has none: a second one would not see what is written to the first, so the caller
 * keeps others from attaching it meanwhile. @throws VarveError
 */
export async function attach(image: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    const device = devices().get(image)
    if (device === undefined) return attachLoop(image)
    if (!isGoing(device)) return device
    if (tries === TRIES)
      throw new VarveError(
        'UNAVAILABLE',
        `${toText(image)}: was detached from ${device} and is in use there; unmount it`,
      )
    await setTimeout(PAUSE)
  }
}

/** Not attached is fine. While the device is in use the kernel puts it off until it no longer is. @throws VarveError */
export async function detach(image: string): Promise<void> {
  const device = devices().get(image)
  if (device === undefined) return
  await detachLoop(device)
  for (let tries = 0; tries < TRIES && devices().get(image) === device; tries++) await setTimeout(PAUSE)
}

function isGoing(device: string): boolean {
  return readSmall(`/sys/block/${device.slice('/dev/'.length)}/loop/autoclear`)?.trim() === '1'
}
