/** Builds of varve that are broken in one place each, and the tests that must catch them. */

export interface Mutant {
  /** What is broken in the build. */
  readonly title: string
  /** The source to change, relative to the checkout: `from`, which occurs in it once, becomes `to`. */
  readonly source: string
  readonly from: string
  readonly to: string
  /**
   * The test file that must fail, relative to test/ and without its ending; only tests with `tests` in their titles are run.
   */
  readonly file: string
  readonly tests: string
  /** Matches the failure's message. */
  readonly says: RegExp
}

export const MUTANTS: readonly Mutant[] = [
  {
    title: 'the log is not synced',
    source: 'core/db/log.ts',
    from: '      fdatasync(fd)\n',
    to: '      void fdatasync\n',
    file: 'faults/power-cut',
    tests: 'vfs on ext4',
    says: /no snapshot with that name|does not have it|power cut: /,
  },
  {
    title: 'no confinement of a tar',
    source: 'core/sys/jail.ts',
    from: "if (libc.chroot(text('.')) === 0) return\n",
    to: 'return\n',
    file: 'unit/extract/hostile',
    tests: 'breakout',
    says: /strictly deep-equal|the sentinel is as it was/,
  },
  {
    title: 'no intent row',
    source: 'core/graph/create.ts',
    from: "kind, state: 'creating', labels",
    to: "kind, state: 'ready', labels",
    file: 'faults/writable',
    tests: 'overlay: a create killed at any step',
    says: /is in the database, but the driver overlay does not have it|was missing|is there already/,
  },
  {
    title: 'no comparison of digests',
    source: 'core/layers/fill.ts',
    from: "        requireDigest(label, 'its content', recorded.diffId, options.diffId)\n",
    to: '',
    file: 'faults/hostile/images',
    tests: 'hostile images',
    says: /a diff id of other content/,
  },
  {
    title: 'no limit on a path',
    source: 'core/tar/whiteout.ts',
    from: 'const MAX_PATH = 4095\n',
    to: 'const MAX_PATH = Number.MAX_SAFE_INTEGER\n',
    file: 'unit/extract/hostile',
    tests: 'PATH_MAX',
    says: /and a path has at most 4095/,
  },
  {
    title: 'a descriptor that leaks',
    source: 'core/extract/replaced-payloads.ts',
    from: '        close(each.fd)\n',
    to: '',
    file: 'faults/hostile/leaks',
    tests: 'whiteout.s content, imported',
    says: /descriptors are open, and \d+ were/,
  },
  {
    title: 'text from outside is not escaped',
    source: 'cli/print/printable.ts',
    from: 'return text.replace(ALL, escaped)\n',
    to: 'return text.replace(/(?!)/, escaped) || String(ALL)\n',
    file: 'cli/escapes',
    tests: 'images',
    says: /u001b\[31m/,
  },
]
