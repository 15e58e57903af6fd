/**
 * The seam every system call and every command passes: counted for the whole process (all threads), and made to fail
 * or to kill the process where {@link arm} or the environment says so. The variable VARVE_FAULT, read once at load:
 *
 *     kill:NAME       SIGKILL to this process at the fault point NAME (which may hold colons)
 *     kill:call:N     SIGKILL right before the Nth changing call
 *     ENOSPC:call:N   the Nth changing call fails with ENOSPC (any errno's name)
 *     EIO:read:N      the Nth `read` fails with EIO (any call's name; `kill:read:N` as well)
 *     EIO:any:N       the Nth call of all, whatever it is
 *     short:read:N    the Nth `read` moves half of the bytes it was asked for (`write`, `any`)
 *     missing:exec:N  the Nth command is not there; `failing`: it fails at once; `rubbish`: it prints garbage and
 *                     succeeds; `hanging`: it does nothing and never ends
 *
 * `close` is counted after the call, and only EBADF comes out of it (files.ts). No point's name begins with `call:` or ends
 * in a colon and a number. Nothing here loads koffi.
 */
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { VarveError } from '../errors.js'
import { errnoNumber, SysError } from './error.js'

/** Calls that change something a crash could leave behind; what `call:N` counts. */
// biome-ignore format: a table
export const CHANGING = [
  'chmod', 'create', 'exec', 'fallocate', 'fchmod', 'fchown', 'fdatasync', 'ficlone', 'fsetxattr', 'fsync',
  'ftruncate', 'lchown', 'link', 'loop_clear', 'loop_configure', 'mkdir', 'mknod', 'mount', 'move_mount', 'rename', 'rmdir', 'removexattr', 'setxattr', 'symlink',
  'sync_file_range', 'syncfs', 'umount', 'unlink', 'utimens', 'write',
  'qgroup_limit', 'qgroup_remove', 'quota_enable', 'setflags', 'snap_create', 'snap_destroy', 'subvol_create',
  'subvol_setflags',
] as const
// biome-ignore format: a table
const READING = [
  'chroot', 'close', 'fcntl', 'fgetxattr', 'flistxattr', 'flock', 'fsconfig', 'fsmount', 'fsopen', 'fspick', 'fstat',
  'getdents', 'getflags', 'getxattr', 'listxattr', 'loop_get_free', 'lseek', 'lstat', 'mount_setattr', 'mountinfo', 'open', 'open_tree', 'pipe', 'read',
  'readlink', 'sendto', 'setns', 'socket', 'stat', 'statfs', 'unshare',
  'ino_lookup', 'ino_paths', 'send', 'subvol_getflags', 'subvol_info', 'subvol_rootref', 'tree_search',
] as const

export type Call = (typeof CHANGING)[number] | (typeof READING)[number]

const NAMES: readonly Call[] = [...CHANGING, ...READING]
const INDEX = Object.fromEntries(NAMES.map((name, index) => [name, index])) as Readonly<Record<Call, number>>
/** Places in the shared array behind the calls' own: two more counters, and the fault that is armed. */
const CHANGES = NAMES.length
const ALL = CHANGES + 1
const ACTION = ALL + 1
const WHERE = ACTION + 1
const NTH = WHERE + 1
const PLACES = NTH + 1
const KEY = 'varve.core.sys.seam'

/** What a fault does, as the shared array has it; a positive number is an errno. */
const ACTIONS = { kill: -1, short: -2, missing: -3, failing: -4, rubbish: -5, hanging: -6 } as const
type Action = keyof typeof ACTIONS

const shared = sharedArray()
const pointToDieAt = parsePoint(process.env.VARVE_FAULT)

/** To be called right before the call. `path` is for the error of an injected fault. */
export function enter(call: Call, path?: string): void {
  const action = pass(call)
  if (action > 0) throw new SysError(action, call, path)
}

/** The same before a call that moves `length` bytes. Returns how many it may move: fewer if a fault makes it short. */
export function enterMoving(call: Call, length: number): number {
  const action = pass(call)
  if (action > 0) throw new SysError(action, call)
  return action === ACTIONS.short ? Math.ceil(length / 2) : length
}

/** The same before a command is started. Returns what to start: another command if a fault says so. */
export function enterCommand(
  command: string,
  args: readonly string[],
): readonly [command: string, args: readonly string[]] {
  const action = pass('exec')
  if (action > 0) throw new SysError(action, 'exec', command)
  return action === 0 ? [command, args] : (INSTEAD.get(action) ?? [command, args])
}

const INSTEAD: ReadonlyMap<number, readonly [string, readonly string[]]> = new Map([
  [ACTIONS.missing, ['/nonexistent/command', []]],
  [ACTIONS.failing, ['/bin/sh', ['-c', 'echo it failed >&2; exit 1']]],
  [ACTIONS.rubbish, ['/bin/sh', ['-c', 'echo rubbish; cat >/dev/null; echo more rubbish >&2']]],
  [ACTIONS.hanging, ['/bin/sleep', ['100000']]],
])

/** A named step of a crash order. */
export function point(name: string): void {
  if (pointToDieAt !== undefined && pointToDieAt === name) killSelf()
}

/** Calls by name since the process began or {@link resetCounts}, all threads; names never called are left out. */
export function counts(): ReadonlyMap<string, number> {
  const counted = NAMES.map((name, index) => [name, Atomics.load(shared, index)] as const)
  return new Map(counted.filter(([, count]) => count > 0))
}

export function totalCalls(): number {
  return [...counts().values()].reduce((sum, count) => sum + count, 0)
}

/** Calls counted by `call:N` so far. */
export function changingCalls(): number {
  return CHANGING.reduce((sum, name) => sum + Atomics.load(shared, INDEX[name]), 0)
}

export function resetCounts(): void {
  for (let i = 0; i < ACTION; i++) Atomics.store(shared, i, 0)
}

/**
 * Resets the counts, and arms a fault in all threads of this process; undefined disarms. `text` is as in VARVE_FAULT, but
 * not `kill:NAME`. A fault strikes once. @throws VarveError INVALID_ARGUMENT
 */
export function arm(text: string | undefined): void {
  const fault = text === undefined ? undefined : parseFault(text)
  Atomics.store(shared, ACTION, 0)
  resetCounts()
  if (fault === undefined) return
  Atomics.store(shared, WHERE, fault.where)
  Atomics.store(shared, NTH, fault.nth)
  Atomics.store(shared, ACTION, fault.action)
}

/** Counts the call. Returns what a fault does to it: 0 for nothing, an errno, or one of {@link ACTIONS}. */
function pass(call: Call): number {
  const count = Atomics.add(shared, INDEX[call], 1) + 1
  return Atomics.load(shared, ACTION) === 0 ? 0 : struck(call, count)
}

function struck(call: Call, count: number): number {
  const where = Atomics.load(shared, WHERE)
  if (where === CHANGES) {
    if (INDEX[call] >= CHANGING.length) return 0
    count = Atomics.add(shared, CHANGES, 1) + 1
  } else if (where === ALL) count = Atomics.add(shared, ALL, 1) + 1
  else if (where !== INDEX[call]) return 0
  if (count !== Atomics.load(shared, NTH)) return 0
  const action = Atomics.load(shared, ACTION)
  if (action === ACTIONS.kill) killSelf()
  return action
}

function killSelf(): void {
  // Its own SIGKILL reaches a process before kill(2) returns to it: nothing after this line runs.
  process.kill(process.pid, 'SIGKILL')
}

/** One array for all threads: the main thread makes it, its workers find it in their environment data. */
function sharedArray(): Int32Array {
  const inherited = getEnvironmentData(KEY)
  if (inherited instanceof SharedArrayBuffer) return new Int32Array(inherited)
  const array = new Int32Array(new SharedArrayBuffer(PLACES * 4))
  if (isMainThread)
    setEnvironmentData(KEY, array.buffer as unknown as Parameters<typeof setEnvironmentData>[1])
  const text = process.env.VARVE_FAULT
  if (text !== undefined && text !== '' && parsePoint(text) === undefined) {
    const { action, where, nth } = parseFault(text)
    array[ACTION] = action
    array[WHERE] = where
    array[NTH] = nth
  }
  return array
}

interface Fault {
  readonly action: number
  /** The place of the counter that `nth` refers to. */
  readonly where: number
  readonly nth: number
}

/** The point of `kill:POINT`; undefined for any other fault. */
function parsePoint(text: string | undefined): string | undefined {
  const [, name] = /^kill:(.+)$/.exec(text ?? '') ?? []
  return name === undefined || name.startsWith('call:') || /^[a-z_0-9]+:\d+$/.test(name) ? undefined : name
}

function parseFault(text: string): Fault {
  const [, word = '', place = '', nth = ''] = /^([A-Za-z0-9]+):([a-z_0-9]+):(\d+)$/.exec(text) ?? []
  const action = word in ACTIONS ? ACTIONS[word as Action] : errnoNumber(word)
  const where = place === 'call' ? CHANGES : place === 'any' ? ALL : INDEX[place as Call]
  if (action !== undefined && where !== undefined && Number(nth) > 0)
    return { action, where, nth: Number(nth) }
  throw new VarveError(
    'INVALID_ARGUMENT',
    `VARVE_FAULT: '${text}' is none of kill:POINT, kill:call:N, ERRNO:call:N, ERRNO:CALL:N (see core/sys/seam.ts)`,
  )
}
