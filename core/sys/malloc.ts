/** How the C library keeps memory that was freed. */

/** Parameters of mallopt(3). */
const M_TRIM_THRESHOLD = -1
const M_MMAP_THRESHOLD = -3
const M_ARENA_MAX = -8
/** The thresholds that glibc begins with, in bytes. It raises them, up to 32 MiB, as larger blocks are freed. */
const THRESHOLD = 128 * 1024

/**
 * Freed memory goes back to the system, for the whole process: glibc would keep up to 32 MiB at the end of each of many
 * arenas, and every thread that ends leaves pieces in one. For a program only: a library must not decide this for others.
 */
export async function giveFreedMemoryBack(): Promise<void> {
  const { mallopt } = await import('./libc.js') // which a quick command must not load
  mallopt(M_MMAP_THRESHOLD, THRESHOLD)
  mallopt(M_TRIM_THRESHOLD, THRESHOLD)
  mallopt(M_ARENA_MAX, 2)
}
