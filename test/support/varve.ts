/** Runs the built `varve` command, as a person would, on a data root of the test. */
import { execFileSync, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'

/** The compiled command. */
export const CLI = resolve(fileURLToPath(import.meta.url), '../../../cli/main.js')

export interface Ran {
  /** Exit status, or the name of the signal that ended it. */
  readonly status: number | string
  readonly stdout: string
  readonly stderr: string
}

export interface Varve {
  readonly root: string
  /** Runs a command that must succeed. Resolves to its standard output. */
  varve(...args: string[]): Promise<string>
  /** The same with --json. Resolves to the values, one for each line. */
  json<T>(...args: string[]): Promise<T[]>
  /** Runs a command that may fail. */
  attempt(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>
  /** Runs a command whose standard output is a file. */
  toFile(file: string, ...args: string[]): Promise<void>
}

/**
 * Runs `use` with a temporary directory `work` and a varve whose root is in it. Afterwards the store must check clean; then
 * everything is removed.
 */
export async function withVarve<T>(
  driver: string,
  use: (varve: Varve, work: string) => Promise<T>,
): Promise<T> {
  const work = mkdtempSync(join(tmpdir(), 'varve-test-'))
  const varve = varveAt(join(work, 'root'), driver)
  mkdirSync(varve.root, { mode: 0o700 })
  try {
    const result = await use(varve, work)
    const findings = await varve.attempt(['check', '--data'])
    if (findings.status !== 0) throw new Error(`check: ${findings.stdout}${findings.stderr}`)
    return result
  } finally {
    // A failed test may have left mounts.
    for (const target of mountsBelow(work)) execFileSync('umount', ['-l', target])
    rmSync(work, { recursive: true, force: true })
  }
}

/** Mount points at or below a directory, the innermost first. */
function mountsBelow(directory: string): string[] {
  const targets = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .map((target) =>
      target.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
  return targets.filter((target) => target.startsWith(`${directory}/`)).reverse()
}

export function varveAt(root: string, driver: string): Varve {
  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    spawn(process.execPath, [CLI, '--root', root, '--driver', driver, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
  const attempt: Varve['attempt'] = (args, env) =>
    new Promise((resolve, reject) => {
      const child = start(args, env)
      const out: Buffer[] = []
      const err: Buffer[] = []
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
      child.once('error', reject)
      child.once('close', (code, signal) =>
        resolve({
          status: code ?? signal ?? 'unknown',
          stdout: Buffer.concat(out).toString(),
          stderr: Buffer.concat(err).toString(),
        }),
      )
    })
  const varve: Varve['varve'] = async (...args) => {
    const { status, stdout, stderr } = await attempt(args)
    if (status !== 0) throw new Error(`varve ${args.join(' ')}: ${status}\n${stderr}${stdout}`)
    return stdout
  }
  return {
    root,
    varve,
    attempt,
    async json<T>(...args: string[]) {
      const text = await varve('--json', ...args)
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as T)
    },
    async toFile(file, ...args) {
      const child = start(args)
      const err: Buffer[] = []
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
      const closed = new Promise((resolve) => child.once('close', resolve))
      await pipeline(child.stdout, createWriteStream(file))
      if ((await closed) !== 0) throw new Error(`varve ${args.join(' ')}: ${Buffer.concat(err)}`)
    },
  }
}
