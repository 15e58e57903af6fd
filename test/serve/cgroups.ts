/** The control groups that an engine makes: they outlive the world it was in. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './until.js'

/** The name, in every hierarchy, of the group for an engine whose files are in `place`. */
export function groupOf(place: string): string {
  return `varve${place.replaceAll('/', '-')}`
}

/** Removes it, with all groups in it. Its processes are about to end, or have. */
export async function removeGroup(place: string): Promise<void> {
  for (const root of hierarchies()) {
    const group = join(root, groupOf(place))
    await until(`no process is in ${group}`, async () => removeTree(group))
  }
}

/** The groups of all engines whose files are somewhere below `directory`. */
export function groupsBelow(directory: string): readonly string[] {
  return hierarchies().flatMap((root) =>
    readdirSync(root)
      .filter((name) => name.startsWith(groupOf(`${directory}/`)))
      .map((name) => join(root, name)),
  )
}

/** Of a run that is over: what a process is still in stays. */
export function removeEmptyGroups(group: string): void {
  try {
    removeTree(group)
  } catch {
    // EBUSY: a process that ends right now; an empty group costs nothing.
  }
}

/** The mount points of all hierarchies, of either version. */
function hierarchies(): readonly string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  return mounts.flatMap((line) => {
    const [, path = '', type = ''] = line.split(' ')
    return /^cgroup2?$/.test(type) ? [path] : []
  })
}

/** @throws EBUSY where a process is in one of them */
function removeTree(group: string): void {
  if (!existsSync(group)) return
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(group, entry.name))
  }
  rmdirSync(group)
}
