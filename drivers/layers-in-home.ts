/** Whether a home holds layers, for backends that keep each in a directory of its name, at most one folder deep. */
import { namesIn } from '../core/sys/lenient.js'
import { isDirectory, lstatOrUndefined } from '../core/sys/stat.js'

/**
 * `DriverModule.holdsLayers`: something lies in a folder of `home`. Backends make their own folders when they open; `.` and `~`
 * mark what is no layer (temporary.ts, core/root/sentinel.ts).
 */
export async function holdsLayersIn(home: string): Promise<boolean> {
  return layersOf(home).some((name) => layersOf(`${home}/${name}`).length > 0)
}

function layersOf(folder: string): readonly string[] {
  const there = lstatOrUndefined(folder)
  if (there === undefined || !isDirectory(there.mode)) return []
  return namesIn(folder).filter((name) => !name.startsWith('.') && !name.includes('~'))
}
