/** A skip is never a pass: what has to run on a machine like the one CI has, and what may be skipped there. */

export interface Skip {
  /** Relative to `test/`, with `.js`. */
  readonly file: string
  readonly title: string
  readonly reason: string
}

/** As root on Linux, nothing in these folders may be skipped … */
const MUST_RUN_AS_ROOT = ['conformance/', 'unit/', 'images/', 'faults/', 'cli/', 'serve/', 'imports.test']
/**
 * … but for these reasons, which tell of the kernel or the disk and not of us. `impossible` is what a backend says of a case
 * (conformance/cells.ts has which of them may); a cell whose file system the kernel does not have fails below.
 */
const LAWFUL_REASONS = [/^the kernel has no /, /^this kernel /, /^the file system /]

/** True where the skip fails the run. */
export function unlawfulSkip(skip: Skip): boolean {
  if (process.getuid?.() !== 0) return false
  if (!MUST_RUN_AS_ROOT.some((prefix) => skip.file.startsWith(prefix))) return false
  if (/^(conformance\/|serve\/docker\/conformance)/.test(skip.file))
    return !skip.reason.startsWith('impossible: ')
  return !LAWFUL_REASONS.some((reason) => reason.test(skip.reason))
}
