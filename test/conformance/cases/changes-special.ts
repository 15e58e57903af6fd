/** Symlinks, devices, sockets and times. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { VarveError } from '../../../core/errors.js'
import type { EntryType } from '../../../core/tar/entry.js'
import { END, header, pax, TYPEFLAGS } from '../../support/tar-bytes.js'
import type { DriverBench } from '../driver-bench.js'
import { BASE, editCase, seconds } from '../edit-case.js'
import { keepsTimes, lets } from '../probes.js'
import type { Case } from '../suite.js'
import {
  applyEdits,
  device,
  directory,
  type Edit,
  type Entry,
  file,
  makeTree,
  socket,
  symlink,
} from '../trees.js'

const EARLY = [-1n, -seconds(1) - 1n, -seconds(10_000_000) + 5n]
const LATE = [seconds(2 ** 31), seconds(2 ** 32) + 999_999_999n]
const FINE = [1n, 999_999_999n, seconds(1) + 123_456_789n]

const timed = (path: string, mtime: bigint): Edit => ({ do: 'set', path, attributes: { mtime } })

const times = (title: string, list: readonly bigint[]): Case =>
  editCase({
    title,
    base: {
      '': directory({ mtime: seconds(1000) }),
      ...Object.fromEntries(list.map((_, i) => [`changed${i}`, file('', { mtime: seconds(5000) })])),
      ...Object.fromEntries(list.map((mtime, i) => [`kept${i}`, file('', { mtime })])),
    },
    edits: [
      ...list.map((mtime, i) => timed(`changed${i}`, mtime)),
      ...list.map((_, i): Edit => ({ do: 'open for writing', path: `kept${i}` })),
      ...list.map((mtime, i): Edit => ({ do: 'make', path: `new${i}`, entry: symlink('x', { mtime }) })),
      timed('', seconds(1000)),
    ],
    changes: [...list.map((_, i) => `C changed${i}`), ...list.map((_, i) => `A new${i}`)],
    impossible: keepsTimes(list),
  })

export const specialCases: readonly Case[] = [
  editCase({
    title: 'a symlink with another target is a modify, also of the same length with its time put back',
    edits: [
      { do: 'make', path: 'd/l', entry: symlink('g', { mtime: seconds(5000) }) },
      timed('d', seconds(1001)),
    ],
    changes: ['C d/l'],
  }),
  editCase({
    title: 'symlinks to nowhere, to themselves, and 1,000 bytes long come back as they were',
    edits: [
      { do: 'make', path: 'd/l', entry: symlink('l') },
      { do: 'make', path: 'long', entry: symlink(`/${'x/'.repeat(499)}y`, { uid: 5 }) },
      { do: 'make', path: 'odd', entry: symlink('\xff\n ../.wh.x//') },
    ],
    changes: ['C ', 'C d', 'C d/l', 'A long', 'A odd'],
  }),
  editCase({
    title: 'a device with other numbers is a modify, and large numbers are kept',
    edits: [
      { do: 'make', path: 'null', entry: device('char', 1, 5, { mtime: seconds(5000) }) },
      { do: 'make', path: 'block', entry: device('block', 511, 262_143) },
      { do: 'make', path: 'char', entry: device('char', 0, 256) },
      { do: 'make', path: 'same', entry: device('char', 259, 65_536) },
    ],
    changes: ['C ', 'A block', 'A char', 'C null', 'A same'],
  }),
  keptOrRefused('the largest device number', 'block', device('block', 4095, 1_048_575)),
  keptOrRefused('a symlink of 4,000 bytes', 'long', symlink('x'.repeat(4000))),
  keptOrRefused('a character device 0:0', 'zero', device('char', 0, 0)),
  times('times to the nanosecond are kept', FINE),
  times('times before 1970 are kept', EARLY),
  times('times past 2038 and 2106 are kept', LATE),
  {
    group: 'changes',
    title: 'a socket is listed, reported in a notice, and left out of the diff, since no tar can hold it',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { parent, child } = await socketLayers(bench)
        assert.deepEqual(await bench.changes(child), [
          { path: '', kind: 'modify' },
          { path: 'socket', kind: 'add' },
        ])
        const twin = await bench.applied(parent, await bench.diff(child))
        await bench.mounted(twin, 'ro', (root) => assert.equal(fs.existsSync(`${root}/socket`), false))
        assert.match(bench.warnings.join('\n'), /socket.*left out/)
      }),
  },
]

async function socketLayers(bench: DriverBench) {
  const parent = await bench.written(undefined, (root) => makeTree(root, BASE))
  const child = await bench.written(parent, (root) =>
    applyEdits(root, [{ do: 'make', path: 'socket', entry: socket() }]),
  )
  return { parent, child }
}

/** On overlayfs a device 0:0 is a whiteout; xfs has no large device numbers and no long symlinks. */
function keptOrRefused(what: string, path: string, entry: Entry): Case {
  const edits: readonly Edit[] = [{ do: 'make', path, entry }, timed('', seconds(1000))]
  const title = `${what} is kept, or where the file system has none, a tar with it is refused by name`
  const kept = editCase({ title, edits, changes: [`A ${path}`] })
  return {
    ...kept,
    async run(world) {
      if (await lets((root) => makeTree(root, { [path]: entry }))(world)) return kept.run(world)
      await world.withDriver(async (bench) => {
        const linkname = entry.type === 'symlink' ? entry.target : ''
        const [major, minor] = 'major' in entry ? [entry.major, entry.minor] : [0, 0]
        const tar = Buffer.concat([
          pax(linkname === '' ? [] : [['linkpath', linkname]]),
          header({ name: path, type: TYPEFLAGS[entry.type as EntryType], devMajor: major, devMinor: minor }),
          END,
        ])
        const layer = await bench.create()
        await assert.rejects(bench.apply(layer, [tar]), (error) => {
          assert.ok(error instanceof VarveError && error.message.includes(`"${path}"`), String(error))
          return true
        })
        await bench.driver.remove(layer)
      })
    },
  }
}
