/** Random cases that can be had again: `VARVE_SEED` repeats a run, `VARVE_RUNS` makes it longer. */

/** What fast-check's `assert` takes, and prints with the counterexample where it fails; `usual` cases without VARVE_RUNS. */
export function randomRuns(usual: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: Number(process.env.VARVE_RUNS ?? usual) }
}

/** Of this run. */
export const SEED = Number(process.env.VARVE_SEED ?? Date.now() % 2 ** 31)
console.log(`# VARVE_SEED=${SEED} repeats this run`)
