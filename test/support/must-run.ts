/** A skip is never a pass: which tests must run on a machine like CI's, and which may be skipped there. */

export interface Skip {
  /** Relative to `test/`, with `.js`. */
  readonly file: string
  readonly title: string
  readonly reason: string
}

/** As root on Linux, nothing in these folders may be skipped … */
const MUST_RUN_AS_ROOT = ['conformance/', 'unit/', 'images/', 'faults/', 'cli/', 'serve/', 'imports.test']
/**
 * … except for these reasons, which concern the kernel or the disk. A case may be `impossible` on a backend
 * (conformance/cells.ts says which); a cell whose file system the kernel lacks fails below.
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
