/** What a diff's tar looks like. */
import assert from 'node:assert/strict'
import { BASE } from '../edit-case.js'
import { readTar } from '../read-tar.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, type Edit, file, makeTree } from '../trees.js'
import type { World } from '../world.js'

const EDITS: readonly Edit[] = [
  { do: 'remove', path: 'd/f' },
  { do: 'remove', path: 'e' },
  { do: 'append', path: 'd/sub/deep', content: '!' },
  { do: 'make', path: 'd.x', entry: file() },
  { do: 'make', path: 'd-x', entry: directory() },
  { do: 'make', path: 'd-x/f', entry: file() },
  { do: 'make', path: '.a', entry: file() },
]

/** Two diffs of one layer with {@link EDITS}; `between` runs between them. */
async function diffs(world: World, between: () => void): Promise<readonly [Buffer, Buffer]> {
  let found: [Buffer, Buffer] | undefined
  await world.withDriver(async (bench) => {
    const parent = await bench.written(undefined, (root) => makeTree(root, BASE))
    const child = await bench.written(parent, (root) => applyEdits(root, EDITS))
    const first = await bench.diff(child)
    between()
    found = [first, await bench.diff(child)]
  })
  assert.ok(found !== undefined)
  return found
}

/** Runs `use` with SOURCE_DATE_EPOCH as given. */
async function atEpoch<T>(value: string | undefined, use: () => Promise<T>): Promise<T> {
  const before = process.env.SOURCE_DATE_EPOCH
  setEpoch(value)
  try {
    return await use()
  } finally {
    setEpoch(before)
  }
}

function setEpoch(value: string | undefined): void {
  if (value === undefined) delete process.env.SOURCE_DATE_EPOCH
  else process.env.SOURCE_DATE_EPOCH = value
}

/** 5 MiB of zeros, fully allocated or a hole. */
const ZEROS = { size: 5 << 20, fill: 0 }

export const packedCases: readonly Case[] = [
  {
    group: 'tar',
    title:
      'a diff has zeros in full, never as a sparse entry, and they take no disk space when it is applied',
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.written(undefined, (root) =>
          makeTree(root, {
            hole: file({ ...ZEROS, hole: { from: 0, to: ZEROS.size } }),
            mixed: file({ size: 3 << 20, fill: 7, hole: { from: 4096, to: 2 << 20 } }),
            zeros: file({ ...ZEROS, hole: { from: 0, to: 0 } }),
          }),
        )
        const diff = await bench.diff(id)
        const sizes = readTar(diff).map(({ path, type, content, pax }) => {
          assert.deepEqual(
            [...pax.keys()].filter((key) => key.startsWith('GNU.sparse')),
            [],
          )
          return [path, type, content.length]
        })
        assert.deepEqual(sizes, [
          ['./', '5', 0],
          ['hole', '0', ZEROS.size],
          ['mixed', '0', 3 << 20],
          ['zeros', '0', ZEROS.size],
        ])
        const empty = await bench.driver.usage(await bench.create())
        for (const parent of [undefined, await bench.written(undefined, (root) => makeTree(root, BASE))]) {
          const again = await bench.applied(parent, diff)
          assert.deepEqual(await bench.diff(again), diff)
          const below =
            parent === undefined || world.supports.sharing ? empty : await bench.driver.usage(parent)
          const { size } = await bench.driver.usage(again)
          const more = size - below.size
          assert.ok(
            more >= 1 << 20 && more < 1.3 * 2 ** 20,
            `${more} bytes of disk, of 1 MiB that is not zero`,
          )
        }
      }),
  },
  {
    group: 'tar',
    title: 'a diff has the parent directories of each change, is sorted, and ends with two blocks of zeros',
    async run(world) {
      const [diff] = await atEpoch(undefined, () => diffs(world, () => {}))
      const names = readTar(diff).map(({ path }) => path)
      assert.deepEqual(names, [
        './',
        '.a',
        '.wh.e',
        'd/',
        'd-x/',
        'd-x/f',
        'd.x',
        'd/.wh.f',
        'd/sub/',
        'd/sub/deep',
      ])
      assert.equal(diff.length % 512, 0)
      assert.ok(diff.subarray(-1024).equals(Buffer.alloc(1024)))
      const owners = [265, 297].map((at) => diff.toString('latin1', at, at + 32).replaceAll('\0', ''))
      assert.deepEqual(owners, ['', ''], 'no name of an owner')
    },
  },
  {
    group: 'tar',
    title:
      'whiteouts are empty files of mode 0 and of 1970, or of SOURCE_DATE_EPOCH; nothing else in a diff depends on that',
    async run(world) {
      const [plain, dated] = await atEpoch(undefined, () => diffs(world, () => setEpoch('1234567890')))
      const seen = [plain, dated].map((diff) =>
        readTar(diff)
          .filter(({ path }) => path.includes('.wh.'))
          .map(({ path, type, mode, mtime, content }) => [path, type, mode, mtime, content.length]),
      )
      assert.deepEqual(seen, [
        [
          ['.wh.e', '0', 0, 0, 0],
          ['d/.wh.f', '0', 0, 0, 0],
        ],
        [
          ['.wh.e', '0', 0, 1_234_567_890, 0],
          ['d/.wh.f', '0', 0, 1_234_567_890, 0],
        ],
      ])
      const others = [plain, dated].map((diff) => readTar(diff).filter(({ path }) => !path.includes('.wh.')))
      assert.deepEqual(others[0], others[1])
    },
  },
  {
    group: 'tar',
    title: 'a SOURCE_DATE_EPOCH that is not a number is an error that says so',
    run: (world) =>
      atEpoch('yesterday', () =>
        assert.rejects(
          diffs(world, () => {}),
          { code: 'INVALID_ARGUMENT', message: /SOURCE_DATE_EPOCH="yesterday"/ },
        ),
      ),
  },
]
