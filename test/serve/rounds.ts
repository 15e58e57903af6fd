/** The rounds of a kill test on each backend. Seven rounds go through every phase; `VARVE_ROUNDS=20` for more. */
export const ROUNDS = roundsIn(process.env.VARVE_ROUNDS ?? '7')

function roundsIn(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text)
  throw new Error(`VARVE_ROUNDS=${text}: want a number of rounds`)
}
