/** Compares what is active with what is used. */
import type { CheckContext, Problem } from './problem.js'

/** Layers that are active and that nobody uses: they cost memory and devices, and harm nothing. */
export async function* checkActivation({ uses }: CheckContext): AsyncGenerator<Problem, void> {
  for (const layer of await uses.unused()) {
    yield {
      check: 'activation',
      subject: layer,
      message: 'is active, and nobody uses it',
      mend: {
        what: 'deactivate it',
        async run() {
          await uses.settle(layer)
          return !(await uses.unused()).includes(layer)
        },
      },
    }
  }
}
