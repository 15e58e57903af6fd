/**
 * A test run's claim on what it makes outside its temporary directory: a file in memory that it keeps locked as long as it
 * lives. An unlocked claim belongs to a dead run; the next run removes what that left. A living run's is never touched.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { groupsBelow, removeEmptyGroups } from '../serve/cgroups.js'
import { tryLockFile } from './libc.js'

export interface Claim {
  /** The locked file: an image of a file system, or empty. */
  readonly file: string
  /** The path for the run's temporary directory. */
  readonly directory: string
  /** Ends the run's processes, and removes its mounts, loop devices, files and the claim itself. */
  release(): void
}

const MEMORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const NAME = /^varve-run-(\w+)\.img$/

export function openClaim(): Claim {
  for (;;) {
    const token = randomBytes(4).toString('hex')
    const { file, directory } = placesOf(token)
    const fd = openSync(file, 'wx', 0o600)
    // Another run that looks for dead ones may have removed the file before it was locked.
    if (tryLockFile(fd) && isThere(file, fd)) {
      return {
        file,
        directory,
        release() {
          takeDown(directory, file)
          closeSync(fd)
        },
      }
    }
    closeSync(fd)
  }
}

/** Removes what killed runs left. Returns a line for each. */
export function cleanUpDeadRuns(): readonly string[] {
  return readdirSync(MEMORY).flatMap((name) => {
    const token = NAME.exec(name)?.[1]
    if (token === undefined) return []
    const { file, directory } = placesOf(token)
    const fd = openIfThere(file)
    if (fd === undefined) return []
    try {
      if (!tryLockFile(fd) || !isThere(file, fd)) return []
      takeDown(directory, file)
      return [`removed what a killed run left in ${directory}`]
    } finally {
      closeSync(fd)
    }
  })
}

/** Parts of the paths by which other runs' files are recognised; `directory` is this run's own. */
export function otherRuns(directory: string): readonly string[] {
  return readdirSync(MEMORY).flatMap((name) => {
    const token = NAME.exec(name)?.[1]
    return token === undefined || directory.endsWith(`vt-${token}`) ? [] : [name, `vt-${token}/`]
  })
}

function placesOf(token: string) {
  return { file: join(MEMORY, `varve-run-${token}.img`), directory: join(tmpdir(), `vt-${token}`) }
}

/** Ends the processes that were started in the directory, then unmounts everything in it, the innermost mount first. */
function takeDown(named: string, file: string): void {
  const directory = mountOf(file) ?? named
  for (let left = processesOf(directory); left.length > 0; left = processesOf(directory)) {
    for (const pid of left) end(pid)
  }
  for (const target of mountsAt(directory).reverse()) {
    // EBUSY: a process in it is just ending.
    if (spawnSync('umount', [target]).status !== 0) spawnSync('umount', ['-l', target])
  }
  for (const [device, backing] of loopDevices()) {
    if (backing.startsWith(`${directory}/`)) spawnSync('losetup', ['-d', device])
  }
  for (const group of groupsBelow(directory)) removeEmptyGroups(group)
  // Never while something is still mounted there: it may be the host's files.
  if (mountsAt(directory).length === 0) rmSync(directory, { recursive: true, force: true })
  rmSync(file, { force: true })
}

/** The mount point of the file system in the file. */
function mountOf(file: string): string | undefined {
  const [device] = loopDevices().find(([, backing]) => backing === file) ?? []
  return device === undefined ? undefined : mounts().find(({ source }) => source === device)?.target
}

function mountsAt(directory: string): string[] {
  return mounts()
    .map(({ target }) => target)
    .filter((target) => target === directory || target.startsWith(`${directory}/`))
}

function mounts(): readonly { readonly source: string; readonly target: string }[] {
  const lines = readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => {
    const [source = '', target = ''] = line.split(' ')
    return {
      source,
      target: target.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    }
  })
}

function loopDevices(): readonly (readonly [device: string, backing: string])[] {
  if (!existsSync('/sys/block')) return []
  return readdirSync('/sys/block').flatMap((name) => {
    const file = `/sys/block/${name}/loop/backing_file`
    return name.startsWith('loop') && existsSync(file)
      ? [[`/dev/${name}`, readFileSync(file, 'utf8').trim()] as const]
      : []
  })
}

/** The processes that were started with this directory as TMPDIR. */
function processesOf(directory: string): readonly number[] {
  const wanted = `TMPDIR=${directory}`
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return false
        const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
        return variables.some((each) => each === wanted || each.startsWith(`${wanted}/`))
      } catch {
        return false // it has ended, or belongs to another user
      }
    })
    .map(Number)
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, 'r')
  } catch {
    return undefined // it is gone, or belongs to another user
  }
}

function isThere(file: string, fd: number): boolean {
  return existsSync(file) && statSync(file).ino === fstatSync(fd).ino
}
