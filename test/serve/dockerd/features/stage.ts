/** What a try of something in dockerd is given: an engine, and containers and networks that are gone when it is over. */

import { IMAGE } from '../../busy-image.js'
import { until } from '../../until.js'
import type { Docker } from '../engine.js'

export interface Stage {
  readonly engine: Docker
  /** Runs the client; its standard output. */
  docker(...args: readonly string[]): Promise<string>
  /** Starts a container that stays: words for `docker run`, and what runs in it. Its id. */
  start(words: readonly string[], command: readonly string[]): Promise<string>
  /** Starts one that says `line` to everyone who asks at its port 80. */
  serve(line: string, words: readonly string[]): Promise<string>
  network(name: string, ...words: readonly string[]): Promise<void>
  /** What is to be done at the end, the last one first. */
  after(undo: () => unknown): void
  /** An empty directory, which the engine sees too. */
  readonly work: string
}

/** Of a container that only its own commands reach. */
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
    await clear().catch(() => {}) // what failed first is told; the rest ends with the engine
    throw error
  }
}

/** For a container: prints what is at an address. */
export function asking(url: string): readonly string[] {
  return ['busybox', 'wget', '-q', '-O', '-', url]
}
