/**
 * The seam every system call and every command passes: counted for the whole process (all threads), and made to fail
 * or to kill the process where the environment says so. The variable VARVE_FAULT, read once at load:
 *
 *     kill:NAME       SIGKILL to this process at the fault point NAME (which may hold colons)
 *     kill:call:N     SIGKILL right before the Nth changing call
 *     ENOSPC:call:N   the Nth changing call fails with ENOSPC (any errno's name)
 *     EIO:read:N      the Nth `read` fails with EIO (any call's name; `kill:read:N` as well)
 *
 * So no point is named `call:…` or ends in a colon and a number. Nothing here loads koffi.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { VarveError } from '../errors.js'
import { errnoNumber, SysError } from './error.js'

/** Calls that change something a crash could leave behind; what `call:N` counts. */
// biome-ignore format: a table
const CHANGING = [
  'chmod', 'copy_file_range', 'create', 'exec', 'fchmod', 'fchown', 'fdatasync', 'ficlone', 'fsetxattr', 'fsync',
  'ftruncate', 'lchown', 'link', 'mkdir', 'mknod', 'mount', 'move_mount', 'rename', 'rmdir', 'removexattr', 'setxattr', 'symlink',
  'sync_file_range', 'syncfs', 'umount', 'unlink', 'utimens', 'write',
  'qgroup_limit', 'qgroup_remove', 'quota_enable', 'setflags', 'snap_create', 'snap_destroy', 'subvol_create',
  'subvol_setflags',
] as const
// biome-ignore format: a table
const READING = [
  'chroot', 'close', 'fcntl', 'fgetxattr', 'flistxattr', 'flock', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'fstat',
  'getdents', 'getflags', 'getxattr', 'listxattr', 'lseek', 'lstat', 'mount_setattr', 'mountinfo', 'open', 'open_tree', 'pipe', 'read',
  'readlink', 'sendto', 'socket', 'stat', 'statfs', 'unshare',
  'ino_lookup', 'ino_paths', 'send', 'subvol_getflags', 'subvol_info', 'subvol_rootref', 'tree_search',
] as const

export type Call = (typeof CHANGING)[number] | (typeof READING)[number]

const NAMES: readonly Call[] = [...CHANGING, ...READING]
const INDEX = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Readonly<Record<Call, number>>
const CHANGES = NAMES.length
const KEY = 'varve.core.sys.seam'

const counters = sharedCounters()
const fault = parseFault(process.env.VARVE_FAULT)

/** To be called right before the call. `path` is for the error of an injected fault. */
export function enter(call: Call, path?: string): void {
  const count = Atomics.add(counters, INDEX[call], 1) + 1
  if (fault !== undefined) inject(call, count, path)
}

/** A named step of a crash order. */
export function point(name: string): void {
  if (fault !== undefined && fault.action === 'kill' && fault.where === name) killSelf()
}

/** Calls by name since the process began or {@link resetCounts}, all threads; names never called are left out. */
export function counts(): ReadonlyMap<string, number> {
  const counted = NAMES.map((name, index) => [name, Atomics.load(counters, index)] as const)
  return new Map(counted.filter(([, count]) => count > 0))
}

export function totalCalls(): number {
  return [...counts().values()].reduce((sum, count) => sum + count, 0)
}

/** Calls counted by `call:N` so far. */
export function changingCalls(): number {
  return CHANGING.reduce((sum, name) => sum + Atomics.load(counters, INDEX[name]), 0)
}

export function resetCounts(): void {
  for (let i = 0; i < counters.length; i++) Atomics.store(counters, i, 0)
}

interface Fault {
  readonly action: 'kill' | number
  /** A point, `call`, or a call's name. */
  readonly where: string
  /** 0 for a point. */
  readonly nth: number
}

function inject(call: Call, count: number, path: string | undefined): void {
  if (fault === undefined || fault.nth === 0) return
  if (fault.where === 'call') {
    if (INDEX[call] >= CHANGING.length) return
    count = Atomics.add(counters, CHANGES, 1) + 1
  } else if (fault.where !== call) return
  if (count !== fault.nth) return
  if (fault.action === 'kill') killSelf()
  else throw new SysError(fault.action, call, path)
}

function killSelf(): void {
  // Its own SIGKILL reaches a process before kill(2) returns to it: nothing after this line runs.
  process.kill(process.pid, 'SIGKILL')
}

/** One array for all threads: the main thread makes it, its workers find it in their environment data. */
function sharedCounters(): Int32Array {
  const inherited = getEnvironmentData(KEY)
  if (inherited instanceof SharedArrayBuffer) return new Int32Array(inherited)
  const shared = new SharedArrayBuffer((NAMES.length + 1) * 4)
  if (isMainThread) setEnvironmentData(KEY, shared as unknown as Parameters<typeof setEnvironmentData>[1])
  return new Int32Array(shared)
}

function parseFault(text: string | undefined): Fault | undefined {
  if (text === undefined || text === '') return undefined
  const action = text.slice(0, text.indexOf(':'))
  const rest = text.slice(action.length + 1)
  const [, where = '', nth = ''] = /^([a-z_]+):(\d+)$/.exec(rest) ?? []
  const errno = errnoNumber(action)
  if (where === 'call' || where in INDEX) {
    const number = Number(nth)
    if (number > 0 && (action === 'kill' || errno !== undefined))
      return { action: errno ?? 'kill', where, nth: number }
  } else if (action === 'kill' && rest !== '' && !rest.startsWith('call:'))
    return { action, where: rest, nth: 0 }
  throw new VarveError(
    'INVALID_ARGUMENT',
    `VARVE_FAULT: '${text}' is none of kill:POINT, kill:call:N, ERRNO:call:N, ERRNO:CALL:N`,
  )
}
