/** A worker that jails itself, tries to get out by every synchronous call, and reports what it found. */
import * as fs from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import * as files from '../../../core/sys/files.js'
import { enterJail } from '../../../core/sys/jail.js'
import { lstatOrUndefined, stat } from '../../../core/sys/stat.js'

export interface JailTask {
  readonly dir: string | number
  /** A directory outside that no call may reach. */
  readonly outside: string
  readonly cycles: number
  /** Stays in the jail until the thread is terminated. */
  readonly stay?: boolean
}

const { dir, outside, cycles, stay } = workerData as JailTask
const escaped: string[] = []
const realOutside = fs.realpathSync(outside)
try {
  const before = { cwd: stat('.').ino, umask: umaskOfThread(), fds: openFiles() }
  const jail = enterJail(dir)
  const found = files.readdir('/').sort()
  if (stay) {
    parentPort?.postMessage({ found })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
  escapes()
  files.mkdir('/in/of-umask-0', 0o777)
  files.symlink('/etc', '/in/etc')
  let second = ''
  try {
    enterJail('/')
  } catch (error) {
    second = String(error)
  }
  jail.leave()
  jail.leave()
  for (let i = 0; i < cycles; i++) {
    const next = enterJail(dir)
    if (i === cycles - 1) escapes() // the last jail holds as well as the first
    next.leave()
  }
  const after = { cwd: stat('.').ino, umask: umaskOfThread(), fds: openFiles() }
  parentPort?.postMessage({ found, escaped, second, before, after, back: files.readdir(outside).sort() })
} catch (error) {
  parentPort?.postMessage({ error: String(error) })
}

function escapes(): void {
  const paths = [
    '/up/secret',
    '/absolute/secret',
    'chain/secret',
    `${outside}/secret`,
    '/../../../../up/secret',
  ]
  for (const path of paths) {
    if (lstatOrUndefined(path) !== undefined) escaped.push(`lstat ${path}`)
    attempt(`open ${path}`, () => files.close(files.open(path, fs.constants.O_RDWR)))
    attempt(`node's open ${path}`, () => fs.closeSync(fs.openSync(path, 'r')))
    attempt(`unlink ${path}`, () => files.unlink(path))
  }
  for (const directory of ['/up', '/absolute', 'chain', outside]) {
    attempt(`create in ${directory}`, () =>
      files.close(files.open(`${directory}/made`, fs.constants.O_CREAT | fs.constants.O_WRONLY, 0o666)),
    )
    attempt(`mkdir in ${directory}`, () => files.mkdir(`${directory}/made`, 0o777))
    attempt(`node's mkdir in ${directory}`, () => fs.mkdirSync(`${directory}/made`))
  }
  attempt('/proc', () => files.readdir('/proc/self/cwd/'))
}

function attempt(what: string, call: () => void): void {
  try {
    call()
    escaped.push(what)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')))
      escaped.push(`${what}: ${error}`)
  }
}

function umaskOfThread(): string {
  return /Umask:\s*(\d+)/.exec(fs.readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? ''
}

/** The targets of the process's descriptors, without those of other threads, which read `outside` all the time. */
function openFiles(): readonly string[] {
  return fs
    .readdirSync('/proc/self/fd')
    .map((fd) => linkOf(`/proc/self/fd/${fd}`))
    .filter((path) => path !== '' && path !== realOutside)
    .sort()
}

function linkOf(path: string): string {
  try {
    return fs.readlinkSync(path)
  } catch {
    // The descriptor of the listing itself, or one of another thread.
    return ''
  }
}
