/** Compares the layers that are active with those in use. */
import type { CheckContext, Problem } from './problem.js'

/** Layers that are active but unused: they cost memory and devices, but do no harm. */
export async function* checkActivation({ uses }: CheckContext): AsyncGenerator<Problem, void> {
  for (const layer of await uses.unused()) {
    yield {
      check: 'activation',
      subject: layer,
      message: 'is active, and nobody uses it',
      mend: {
        what: 'deactivate it',
        async run() {
          await uses.putUnused(layer)
          return !(await uses.unused()).includes(layer)
        },
      },
    }
  }
}
