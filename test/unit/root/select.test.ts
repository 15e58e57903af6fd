import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { type SelectOptions, selectDriver, verdicts } from '../../../core/root/select.js'
import { plainModule } from '../store/plain-driver.js'

const DRIVERS = [
  plainModule({ name: 'vfs', priority: 60 }),
  plainModule({ name: 'overlay', priority: 50 }),
  plainModule({ name: 'btrfs', priority: 20, verdict: 'wrong file system' }),
]

async function inRoot(work: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(`${tmpdir()}/varve-select-`)
  try {
    await work(root)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

const CASES: readonly {
  readonly title: string
  readonly options: Partial<SelectOptions>
  /** Existing folders in the root. */
  readonly folders?: readonly string[]
  /** The selected driver with its options, or the error. */
  readonly result: string | readonly [code: string, words: RegExp]
}[] = [
  { title: 'the first by priority that is supported', options: {}, result: 'overlay' },
  { title: 'the requested driver', options: { driver: 'vfs' }, result: 'vfs' },
  { title: 'the driver that the root was made with', options: { prior: 'vfs' }, result: 'vfs' },
  { title: 'the same driver, requested', options: { prior: 'vfs', driver: 'vfs' }, result: 'vfs' },
  {
    title: 'another driver than the root’s is refused, and the error says what to do',
    options: { prior: 'vfs', driver: 'overlay' },
    result: [
      'FAILED_PRECONDITION',
      /made with the driver vfs.*leave out --driver.*another --root.*export and import/,
    ],
  },
  {
    title: 'an unknown driver is an error that suggests the nearest',
    options: { driver: 'overlay2' },
    result: ['INVALID_ARGUMENT', /no such driver: "overlay2"; did you mean "overlay"\?/],
  },
  {
    title: 'a driver that does not work here is an error with its reason',
    options: { driver: 'btrfs' },
    result: ['FAILED_PRECONDITION', /btrfs can't be used in .*: wrong file system: as the test has it/],
  },
  {
    title: 'if no driver works, the error has every reason',
    options: {
      drivers: [
        plainModule({ name: 'a', verdict: 'unsupported' }),
        plainModule({ name: 'b', verdict: 'prerequisite missing' }),
      ],
    },
    result: ['FAILED_PRECONDITION', /no storage driver.*a: unsupported: as.*b: prerequisite missing: as/s],
  },
  {
    title: 'a driver that this varve lacks',
    options: { prior: 'aufs' },
    result: ['FAILED_PRECONDITION', /made with the driver aufs, which this varve does not have/],
  },
  {
    title: 'layers of another driver beside the root’s own',
    options: { prior: 'vfs' },
    folders: ['vfs/dir/x', 'overlay/x/diff'],
    result: ['FAILED_PRECONDITION', /made with the driver vfs, but it also holds layers of overlay/],
  },
  {
    title: 'layers that the database does not know',
    options: {},
    folders: ['overlay/x/diff'],
    result: ['FAILED_PRECONDITION', /holds layers of overlay, but its database has no memory.*backup/],
  },
  { title: 'an empty home is not state', options: {}, folders: ['vfs/dir'], result: 'overlay' },
  {
    title: 'options go to the driver that they name',
    options: { storageOptions: ['overlay.colour=red', 'vfs.colour=blue', 'colour=green'] },
    result: 'overlay colour=green',
  },
  {
    title: 'an unknown option is an error that suggests the nearest',
    options: { storageOptions: ['color=red'] },
    result: ['INVALID_ARGUMENT', /"color": driver overlay has no option "color"; did you mean "colour"\?/],
  },
  {
    title: 'an unknown option of a known driver',
    options: { storageOptions: ['vfs.colur=red'] },
    result: ['INVALID_ARGUMENT', /did you mean "vfs.colour"\?/],
  },
  {
    title: 'an option without a value',
    options: { storageOptions: ['colour'] },
    result: ['INVALID_ARGUMENT', /"colour": want KEY=VALUE/],
  },
]

for (const { title, options, folders = [], result } of CASES) {
  test(`Selection: ${title}.`, () =>
    inRoot(async (root) => {
      for (const folder of folders) mkdirSync(`${root}/${folder}`, { recursive: true })
      const context = {
        root,
        drivers: DRIVERS,
        storageOptions: [],
        prior: undefined,
        scratch: () => root,
        ...options,
      }
      if (typeof result === 'string') {
        const selected = await selectDriver(context)
        const words = [...selected.options].map(([key, value]) => `${key}=${value}`)
        assert.equal([selected.module.name, ...words].join(' '), result)
        return
      }
      const [code, words] = result
      await assert.rejects(
        selectDriver(context),
        (error) => error instanceof VarveError && error.code === code && words.test(error.message),
      )
    }))
}

test('A probe that fails stops the search, and is a verdict in the list.', () =>
  inRoot(async (root) => {
    const broken = {
      ...plainModule({ name: 'zfs', priority: 1 }),
      probe: () => Promise.reject(new Error('EIO')),
    }
    const context = {
      root,
      drivers: [...DRIVERS, broken],
      storageOptions: [],
      prior: undefined,
      scratch: () => root,
    }
    await assert.rejects(selectDriver(context), /EIO/)
    const found = await verdicts(context, 'overlay')
    assert.deepEqual(
      found.map((each) => `${each.name} ${each.verdict} ${each.selected}`),
      [
        'zfs unsupported false',
        'btrfs wrong file system false',
        'overlay supported true',
        'vfs supported false',
      ],
    )
  }))
