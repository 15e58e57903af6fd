/**
 * Threads between jobs (worker.ts). To start one and load the C library in it takes longer than the work on a small layer,
 * so a thread that did its job well waits a while for the next one of the same script. It keeps no process alive.
 *
 * Whoever gives a thread back says that nothing of the job is left in it: a thread whose job failed is never kept.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads'

/** Of one script: as many layers as are likely to be worked on at once. */
const MOST = 2
/** Milliseconds: from one step of a build to the next. What a new thread has to compile again is a quarter of a large layer. */
const PATIENCE = 60_000
/** Jobs of one thread: what they leave in its heap goes with it. */
const JOBS = 32

/** MiB that a thread may hold: with that little, V8 collects before the heap is several times what is alive. */
export const MOST_MEMORY = 1024
/** And the garbage of short life that it lets pile up. By itself V8 takes 48, and an import has two threads. */
const LIMITS = { maxYoungGenerationSizeMb: 8, maxOldGenerationSizeMb: MOST_MEMORY }

interface Waiting {
  readonly worker: Worker
  /** It is for the caller now. */
  leave(): void
}

const waiting = new Map<string, Waiting[]>()
const jobsDone = new WeakMap<Worker, number>()

/** A thread that runs `script` and has no job. The caller listens to its end, and gives it back or ends it. */
export function takeThread({ href }: URL): Worker {
  const thread = waiting.get(href)?.at(-1)
  // No flags of the program's own: some (--input-type, --eval) are not for a thread that runs a file. Its environment is the
  // program's as it is then, not as it was when the thread began.
  if (thread === undefined) {
    return new Worker(new URL(href), { execArgv: [], env: SHARE_ENV, resourceLimits: LIMITS })
  }
  thread.leave()
  thread.worker.ref()
  return thread.worker
}

/**
 * Gives a thread back, whose job went well and whose listeners are off. It may be ended here, now or later, or be somebody
 * else's: the caller does not touch it any more.
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
