/** Builds of varve that are broken in one place each, and what each must be caught by. */

export interface Mutant {
  /** What the build does not do. */
  readonly title: string
  /** The source that is changed, from the checkout: `from`, which is in it once, becomes `to`. */
  readonly source: string
  readonly from: string
  readonly to: string
  /** The test file that must fail, from test/ and without its ending; of its tests, those with `tests` in their titles. */
  readonly file: string
  readonly tests: string
  /** What the failure says. */
  readonly says: RegExp
}

export const MUTANTS: readonly Mutant[] = [
  {
    title: 'no sync of what was promised',
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
    title: 'no row for what is only intended',
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
    from: '        close(unfinished.fd)\n',
    to: '',
    file: 'faults/hostile/leaks',
    tests: 'whiteout.s content, imported',
    says: /descriptors are open, and \d+ were/,
  },
  {
    title: 'text from outside as it is',
    source: 'cli/print/printable.ts',
    from: 'return text.replace(ALL, escaped)\n',
    to: 'return text.replace(/(?!)/, escaped) || String(ALL)\n',
    file: 'cli/escapes',
    tests: 'images',
    says: /u001b\[31m/,
  },
]
