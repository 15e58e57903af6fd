/** How the process keeps memory that was freed. */
import { setFlagsFromString } from 'node:v8'

/** Parameters of mallopt(3). */
const M_TRIM_THRESHOLD = -1
const M_MMAP_THRESHOLD = -3
const M_ARENA_MAX = -8
/** The thresholds that glibc begins with, in bytes. It raises them, up to 32 and 64 MiB, as larger blocks are freed. */
const THRESHOLD = 128 * 1024

/**
 * Freed memory goes back to the system, for the whole process: glibc would keep up to 64 MiB at the end of each of many
 * arenas, in which every thread that ends leaves pieces, and V8 would let garbage pile up to several times what is alive.
 * For a program only: a library must not decide this for others.
 */
export async function giveFreedMemoryBack(): Promise<void> {
  setFlagsFromString('--optimize-for-size')
  const { mallopt } = await import('./libc.js') // which a quick command must not load
  mallopt(M_MMAP_THRESHOLD, THRESHOLD)
  mallopt(M_TRIM_THRESHOLD, THRESHOLD)
  mallopt(M_ARENA_MAX, 2)
}
