/** Whether a home holds layers, for backends that keep each in a directory of its name. */
import { isMadeUp } from '../core/ids.js'
import { namesIn } from '../core/sys/lenient.js'
import { isDirectory, lstatOrUndefined } from '../core/sys/stat.js'

/** `DriverModule.holdsLayers`: layers lie in `home` or in a folder of it. */
export async function holdsLayersIn(home: string): Promise<boolean> {
  return hasLayer(home, 2)
}

function hasLayer(folder: string, depth: number): boolean {
  const there = lstatOrUndefined(folder)
  if (there === undefined || !isDirectory(there.mode)) return false
  const names = namesIn(folder)
  if (names.some(isMadeUp)) return true
  return depth > 1 && names.some((name) => hasLayer(`${folder}/${name}`, depth - 1))
}
