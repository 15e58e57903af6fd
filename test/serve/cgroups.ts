/** The control groups that an engine makes: they outlive the world it was in. */
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './containerd-engine.js'

/** Removes a group, with all groups in it, from every hierarchy. Its processes are about to end, or have. */
export async function removeGroups(name: string): Promise<void> {
  for (const root of hierarchies()) {
    await until(`no process is in the group ${name} of ${root}`, async () => removeTree(join(root, name)))
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
