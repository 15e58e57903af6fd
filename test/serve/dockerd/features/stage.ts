/** What a test of a feature gets: an engine, and containers and networks that are removed at the end. */

import { IMAGE } from '../../busy-image.js'
import { until } from '../../until.js'
import type { Docker } from '../engine.js'

export interface Stage {
  readonly engine: Docker
  /** Runs the client. Resolves to its standard output. */
  docker(...args: readonly string[]): Promise<string>
  /** Starts a detached container: arguments for `docker run`, and the command. Resolves to its id. */
  start(words: readonly string[], command: readonly string[]): Promise<string>
  /** Starts a container that answers `line` to every HTTP request at port 80. */
  serve(line: string, words: readonly string[]): Promise<string>
  network(name: string, ...words: readonly string[]): Promise<void>
  /** Registers something to undo at the end, the last one first. */
  after(undo: () => unknown): void
  /** An empty directory that the engine can see. */
  readonly work: string
}

/** For a container that needs no network. */
export const ALONE = ['--network', 'none'] as const

export async function withStage<T>(
  engine: Docker,
  work: string,
  use: (stage: Stage) => Promise<T>,
): Promise<T> {
  const { docker } = engine
  const undo: (() => unknown)[] = []
  const clear = async () => {
    while (undo.length > 0) await undo.pop()?.()
  }
  const start: Stage['start'] = async (words, command) => {
    const id = (await docker('run', '--detach', ...words, IMAGE, ...command)).trim()
    undo.push(() => docker('rm', '--force', id))
    return id
  }
  const stage: Stage = {
    engine,
    docker,
    work,
    after: (each) => undo.push(each),
    start,
    async serve(line, words) {
      const script = `echo ${line} > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp`
      const id = await start(words, ['sh', '-c', script])
      await until(`${line} is served`, () => docker('exec', id, ...asking('http://127.0.0.1/')))
      return id
    },
    async network(name, ...words) {
      await docker('network', 'create', ...words, name)
      undo.push(() => docker('network', 'rm', name))
    },
  }
  try {
    const result = await use(stage)
    await clear()
    return result
  } catch (error) {
    await clear().catch(() => {}) // the first error is thrown; the rest ends with the engine
    throw error
  }
}

/** A command for a container that prints the content of a URL. */
export function asking(url: string): readonly string[] {
  return ['busybox', 'wget', '-q', '-O', '-', url]
}
