/** Scratch space that no living process needs, files that are not the store's, and the mode of the root. */
import { toText } from '../bytes.js'
import { isScratchInUse, purgeScratch, scratchNames, strangersIn } from '../root/scratch.js'
import { chmod } from '../sys/files.js'
import { stat } from '../sys/stat.js'
import type { CheckContext, Problem } from './problem.js'

export function* checkLeftovers({ root }: CheckContext): Generator<Problem, void> {
  const mode = stat(root).mode & 0o7777
  // A layer's setuid files must not be within reach of other users (CVE-2021-41091, CVE-2024-25621).
  if ((mode & 0o077) !== 0) {
    yield {
      check: 'root-mode',
      subject: toText(root),
      message: `its mode is 0${mode.toString(8)}: other users can reach what is in the layers`,
      mend: {
        what: 'make it 0700',
        run() {
          chmod(root, 0o700)
          return true
        },
      },
    }
  }
  for (const name of scratchNames(root)) {
    if (isScratchInUse(root, name)) continue
    yield {
      check: 'leftovers',
      subject: toText(`${root}/tmp/${name}`),
      message: 'is scratch space of a process that is gone',
      mend: { what: 'remove it', run: () => purgeScratch(root, name) },
    }
  }
  for (const name of strangersIn(root)) {
    yield {
      check: 'leftovers',
      subject: toText(`${root}/tmp/${name}`),
      message: 'does not belong to the store and is left as it is; move it away',
    }
  }
}
