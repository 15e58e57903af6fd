/** Block devices whose content is a file: what a driver must not leave attached, and what a reboot detaches. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** Those whose file is, or was, below `directory`: `loop3 /path/of/the/file`. */
export function devicesBelow(directory: string): readonly string[] {
  return readdirSync('/sys/block').flatMap((name) => {
    const file = backingFile(name)
    return file?.startsWith(`${directory}/`) ? [`${name} ${file}`] : []
  })
}

/** Detaches them, as a reboot does. */
export function detachBelow(directory: string): void {
  for (const line of devicesBelow(directory)) {
    execFileSync('losetup', ['--detach', `/dev/${line.split(' ')[0]}`], { stdio: 'pipe' })
  }
}

function backingFile(device: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${device}/loop/backing_file`, 'latin1').trim()
  } catch {
    return undefined // no loop device, or none that is attached (any more)
  }
}
