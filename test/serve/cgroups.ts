/** The control groups that an engine creates. They outlive its world. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './until.js'

/** The name of the group, in every hierarchy, for an engine with its files in `place`. */
export function groupOf(place: string): string {
  return `varve${place.replaceAll('/', '-')}`
}

/** Removes it with all groups in it. Its processes have ended or are about to. */
export async function removeGroup(place: string): Promise<void> {
  for (const root of hierarchies()) {
    const group = join(root, groupOf(place))
    await until(`no process is in ${group}`, async () => removeTree(group))
  }
}

/** The groups of all engines with their files anywhere below `directory`. */
export function groupsBelow(directory: string): readonly string[] {
  return hierarchies().flatMap((root) =>
    readdirSync(root)
      .filter((name) => name.startsWith(groupOf(`${directory}/`)))
      .map((name) => join(root, name)),
  )
}

/** Removes the groups of a finished run. A group that still has a process stays. */
export function removeEmptyGroups(group: string): void {
  try {
    removeTree(group)
  } catch {
    // EBUSY: a process in it is just ending. The group may stay, since an empty one costs nothing.
  }
}

/** The mount points of all hierarchies, of cgroup v1 and v2. */
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
