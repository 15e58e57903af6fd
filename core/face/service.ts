/**
 * What the services use of core beside the public API (core/store.ts): the system calls for a socket and its lock, which must
 * pass the seam of core/sys like all others; the service manager; and core's wording of what an engine asks for. Other
 * programs have no use for it: they start a service by cli/serve.ts.
 */
// biome-ignore lint/performance/noBarrelFile: cli imports core by named files only, and this is one of them
export { quote } from '../engines/snapshot-rules.js'
export { optionsFor } from '../root/driver-options.js'
export { chmod, close, mkdir, rename, rmdir, unlink, writeAll } from '../sys/files.js'
export { type Lock, tryLock } from '../sys/lock.js'
export { notify } from '../sys/notify.js'
export { fstat, isSocket, lstatOrUndefined } from '../sys/stat.js'
