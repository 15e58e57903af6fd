/**
 * Threads between jobs (worker.ts). Starting one and loading the C library in it takes longer than the work on a small
 * layer, so after a job that succeeded a thread waits a while for the next job of the same script. A waiting thread does not
 * keep the process alive.
 *
 * Nothing of a job may be left in a thread that is given back: one whose job failed is never kept.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads'

/** Waiting threads of one script: as many layers as are likely to be worked on at once. */
const MOST = 2
/**
 * How long a thread waits, in milliseconds: from one step of a build to the next. A new thread compiles its code again,
 * which takes a quarter of the time of a large layer.
 */
const PATIENCE = 60_000
/** Jobs of one thread, at most: what they leave in its heap is freed with it. */
const JOBS = 32

/** Heap of a thread in MiB, at most: with so little, V8 collects before the heap is several times what is alive. */
export const MOST_MEMORY = 1024
/** And of its young generation, where short-lived garbage piles up: V8 would take 48, and an import has two threads. */
const LIMITS = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: MOST_MEMORY }

interface Waiting {
  readonly worker: Worker
  /** The thread stops waiting: the caller takes it. */
  leave(): void
}

const waiting = new Map<string, Waiting[]>()
const jobsDone = new WeakMap<Worker, number>()

/** A thread that runs `script` and has no job. The caller listens for its exit, and gives it back or terminates it. */
export function takeThread({ href }: URL): Worker {
  const thread = waiting.get(href)?.at(-1)
  // None of the program's own flags: some (--input-type, --eval) don't work for a thread that runs a file. It shares the
  // program's environment, so that it sees later changes.
  if (thread === undefined) {
    return new Worker(new URL(href), { execArgv: [], env: SHARE_ENV, resourceLimits: LIMITS })
  }
  thread.leave()
  thread.worker.ref()
  return thread.worker
}

/**
 * Gives a thread back after a job that succeeded, without the caller's listeners. It may be terminated, now or later, or
 * taken by somebody else: the caller must not use it any more.
 */
export function keepThread({ href }: URL, worker: Worker): void {
  const others = waiting.get(href) ?? []
  waiting.set(href, others)
  const jobs = (jobsDone.get(worker) ?? 0) + 1
  jobsDone.set(worker, jobs)
  if (others.length >= MOST || jobs >= JOBS) {
    void worker.terminate()
    return
  }
  const leave = () => {
    clearTimeout(timer)
    worker.off('error', leave).off('exit', leave)
    waiting.set(
      href,
      (waiting.get(href) ?? []).filter((each) => each.worker !== worker),
    )
  }
  const timer = setTimeout(() => {
    leave()
    void worker.terminate()
  }, PATIENCE)
  timer.unref()
  worker.on('error', leave).on('exit', leave)
  worker.unref()
  others.push({ worker, leave })
}
