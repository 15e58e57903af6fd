/** Probes the drivers for a root that need not exist: asking does not make one. */
import { dirname } from 'node:path'
import type { DriverVerdict } from '../api/store.js'
import { fromText } from '../bytes.js'
import type { DriverModule } from '../driver.js'
import { errnoOf } from '../errors.js'
import { mkdir, readdir, removeTree } from '../sys/files.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { moduleNamed, verdicts } from './select.js'

export interface ProbeOptions {
  /** The data root, text. */
  readonly root: string
  readonly drivers: readonly DriverModule[]
  readonly storageOptions?: readonly string[]
  /** Asked for by name. */
  readonly driver?: string | undefined
}

/** Whether a store was ever opened there; then it is the one to ask (`Store.drivers`). */
export function isDataRoot(root: string): boolean {
  return lstatOrUndefined(fromText(`${root}/varve.db`)) !== undefined
}

/**
 * Every driver's verdict, in the order of selection. Test mounts need a directory on the root's file system, so one is made
 * in the root or the nearest folder above it (`.varve-probe-PID-…`), and removed again. What a killed process left of this
 * kind is removed at a later call.
 * @throws VarveError INVALID_ARGUMENT (unknown driver)
 */
export async function probeDrivers(options: ProbeOptions): Promise<readonly DriverVerdict[]> {
  const { root, drivers, storageOptions = [], driver } = options
  const asked = driver === undefined ? undefined : moduleNamed(drivers, driver).name
  const folder = nearestFolder(root)
  purge(folder)
  const scratch = `${fromText(folder === '/' ? '' : folder)}/${PREFIX}${process.pid}-${process.hrtime.bigint()}`
  let made = false
  const directory = () => {
    if (!made) mkdir(scratch, 0o700)
    made = true
    return scratch
  }
  try {
    return await verdicts({ root, drivers, storageOptions, prior: undefined, scratch: directory }, asked)
  } finally {
    if (made) removeTree(scratch)
  }
}

const PREFIX = '.varve-probe-'

function nearestFolder(root: string): string {
  let folder = root
  while (lstatOrUndefined(fromText(folder)) === undefined) folder = dirname(folder)
  return folder
}

/** Those of this user's dead processes. Other PID namespaces' look dead too, so only directories older than an hour go. */
function purge(folder: string): void {
  const path = fromText(folder)
  for (const name of namesIn(path)) {
    const pid = /^\.varve-probe-(\d+)-/.exec(name)?.[1]
    const stat = pid === undefined ? undefined : lstatOrUndefined(`${path}/${name}`)
    if (stat === undefined || stat.uid !== process.geteuid?.()) continue
    const isOld = Date.now() / 1000 - stat.mtimeSec > OLD_SECONDS
    if (isOld && lstatOrUndefined(`/proc/${pid}`) === undefined) removeTree(`${path}/${name}`)
  }
}

const OLD_SECONDS = 3600

function namesIn(path: string): readonly string[] {
  try {
    return readdir(path)
  } catch (error) {
    // Not a folder, or not readable: the drivers will say so.
    if (['ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return []
    throw error
  }
}
