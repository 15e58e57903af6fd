/** Repeatable random cases: `VARVE_SEED` repeats a run, `VARVE_RUNS` makes it longer. */

/** Options for fast-check's `assert`, which prints them with a counterexample; `usual` cases without VARVE_RUNS. */
export function randomRuns(usual: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: Number(process.env.VARVE_RUNS ?? usual) }
}

/** The seed of this run. */
export const SEED = Number(process.env.VARVE_SEED ?? Date.now() % 2 ** 31)
console.log(`# VARVE_SEED=${SEED} repeats this run`)
