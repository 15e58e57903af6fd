/** Every case about drivers that a backend must pass, through the plug-in's sockets of two services on one root. */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { drivers } from '../../../drivers/all.js'
import { applyCases } from '../../conformance/cases/apply.js'
import { changesCases } from '../../conformance/cases/changes.js'
import { applyCases as diffCases } from '../../conformance/cases/changes-apply.js'
import { atOnceCases, concurrencyCases } from '../../conformance/cases/concurrency.js'
import { copyCases } from '../../conformance/cases/copy.js'
import { depthCases } from '../../conformance/cases/depth.js'
import { driverCases } from '../../conformance/cases/driver.js'
import { quotaCases } from '../../conformance/cases/quota.js'
import { MAY_BE_IMPOSSIBLE } from '../../conformance/cells.js'
import { openDriverBench } from '../../conformance/driver-bench.js'
import { openStoreBench } from '../../conformance/store-bench.js'
import type { Case, Cell } from '../../conformance/suite.js'
import { file, makeTree } from '../../conformance/trees.js'
import { endWith, openWorld, type World } from '../../conformance/world.js'
import { openFileSystem, whyNoFileSystem } from '../../support/file-system.js'
import { differences, snapshot } from '../../support/oracle.js'
import { SERVE_CELLS } from '../cells.js'
import { type Serving, startServing } from '../serving.js'
import { dockerCases } from './cases.js'
import { type DockerClient, dockerClient } from './client.js'
import { remoteModule } from './remote-driver.js'

/** What every driver must do, in the words of the public suites, and our cases that show it. */
const LINES: Readonly<Record<string, readonly string[]>> = {
  'create empty: root 0755 root:root, nothing inside': [
    'an empty layer has a root 0755 root:root and nothing inside, whatever the umask',
  ],
  'create base: a directory 0705+sticky 1:2, a file 0222+setuid': [
    'a base layer keeps the bits of a sticky directory and of a setuid file',
  ],
  'create from parent: identical': [
    'a child equals its parent, root and all, and so does a child of that child',
  ],
  'deep read: 50, 128 and 300 layers': [
    'from the top of 50, 128 and 300 layers the file of each layer can be read',
  ],
  'diff and apply of 0, 1, 10, 1,000 files, a file and a directory removed; the size is DiffSize': [
    ...['0', '1', '10', '1,000'].map(
      (count) => `a diff of ${count} modified files, a file and a directory removed, makes an equal tree`,
    ),
    'a diff of all kinds of changes, applied to a sibling, gives an equal tree and the same diff again',
  ],
  'changes: the exact list of 20 files': [
    '20 files, of which every third is modified and every third deleted, and as many added: the exact list',
  ],
  'quota: 50 MiB, half fits, more is ENOSPC or EDQUOT': [
    'half of its size fits into a layer of 50 MiB, and more than all of it does not (quota)',
    'a size is refused, with the reason, where the backend has no quota',
  ],
  'list: every id': ['ids of every legal form work and are listed in order, and nothing else is listed'],
  'template: same content': [
    'layers made from the tars of others have the same content, and equal ones are one layer of the store',
  ],
  'remove: gone, the id is free again; a layer with children is refused': [
    'a removed layer is gone with all its files, and its id is free again',
    'a layer with children is not removed, and all of them stay as they are',
  ],
  'zfs, and every other: remove of what is missing succeeds': ['removing a missing layer succeeds'],
  'btrfs: nested subvolumes go with their layer': [
    'subvolumes that were created in a layer are removed with it',
  ],
  'copy: mode, mtime in ns, xattrs, hard links (with and without shared blocks: the last test here)': [
    'a copy keeps hard links, and links no files that were separate',
    'a copy keeps holes, also when its file is changed',
    'a file whose mode alone changes in a child keeps everything else',
    'a copy keeps access control lists, and a change of them is a change',
  ],
}

/** Cases that can't be run through the socket, with the reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'its probe says that it works here, and leaves nothing behind': 'a service is not probed',
  'a layer whose seal is undone, as after an interrupted commit, is writable as it was, and can be sealed again':
    'an engine commits nothing',
  'a layer whose seal is undone keeps its size (quota)': 'an engine commits nothing',
  'a write to a sealed layer past its read-only mount is refused or shown as a problem':
    'an engine gets a path and not the mount',
  'a directory whose owner changes in a child keeps all that is in it':
    'a name that is not UTF-8: see cases.ts',
  'names of every byte are added as they are': 'names that are not UTF-8: see cases.ts',
  'names of every byte are modified and deleted as they are': 'names that are not UTF-8: see cases.ts',
  'names with a special meaning elsewhere are plain names of files, directories and link targets':
    'names that are not UTF-8: see cases.ts',
  'a socket is listed, reported in a notice, and left out of the diff, since no tar can hold it':
    'notices go to the log of the service',
  'opening a driver purges nothing that another is working on': 'a service is opened once',
  '500 layers show the files of the lowest one, can be compared with it, and can be removed':
    'overlayfs has no room for the layer on top that would seal them',
}

/** How the protocol reports changes is tested on one backend; the backends' own suites test the changes. */
const ALL_CHANGES_ON = 'overlay'
const ALWAYS: readonly Case[] = [
  ...driverCases,
  ...copyCases,
  ...quotaCases,
  ...depthCases,
  ...concurrencyCases.filter(({ title }) => !title.startsWith('8 ')),
  ...atOnceCases(16),
  ...applyCases,
  ...dockerCases,
]
const casesOf = (driver: string) =>
  [...ALWAYS, ...(driver === ALL_CHANGES_ON ? changesCases : diffCases)].filter(
    ({ title }) => !(title in LEFT_OUT),
  )

for (const { driver, skip, within } of SERVE_CELLS) {
  describe(`${driver}: the driver cases through dockerd's protocol`, { skip }, () => {
    const cases = casesOf(driver)

    test('each line of the public suites has its cases, and each case that is left out exists', () => {
      const titles = new Set(cases.map(({ title }) => title))
      for (const title of Object.values(LINES).flat()) assert.ok(titles.has(title), title)
      const known = new Set([...ALWAYS, ...changesCases].map(({ title }) => title))
      for (const title of Object.keys(LEFT_OUT)) assert.ok(known.has(title), title)
    })

    test('all of them', async (t) => {
      await within(async (place) => {
        const counts = { passed: 0, impossible: 0 }
        await withServices(driver, place, async (world) => {
          for (const each of cases) {
            await t.test(each.title, async (sub) => {
              const reason = await each.impossible?.(world)
              if (reason === undefined) await each.run(world)
              else requireLawful(world.cell, reason)
              counts[reason === undefined ? 'passed' : 'impossible']++
              if (reason !== undefined) sub.skip(`impossible: ${reason}`)
            })
          }
        })
        const { passed, impossible } = counts
        t.diagnostic(`${driver}: ${passed} of ${cases.length} cases passed, ${impossible} impossible`)
      })
    })
  })
}

/** A world whose drivers are two services on one root, in turn. At the end the root must be as before, and check clean. */
async function withServices(
  driver: string,
  place: string,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const module = drivers.find((each) => each.name === driver)
  if (module === undefined) throw new Error(`no driver ${driver}`)
  const cell: Cell = { name: `${driver} on a service`, module, options: {}, root: place }
  const world = await openWorld(cell, { seed: 1, scripts: 0 })
  const bench = await openStoreBench(cell, place)
  const { root, store } = bench
  const services: Serving[] = []
  const withDriver: World['withDriver'] = async (work) => {
    const clients = services.map(({ socket }) => dockerClient(socket))
    const remote = remoteModule(module, { clients, store, supports: world.supports })
    const own = mkdtempSync(join(place, 'case-'))
    const opened = await openDriverBench(remote, new Map(), own, { home: join(root, driver) })
    await endWith(
      () => work(opened),
      () => opened.end(),
    )
  }
  try {
    for (const name of ['one', 'other']) services.push(await start(driver, root, join(place, name)))
    await use({ ...world, withDriver })
    for (const service of services) assert.equal(await service.end('SIGTERM'), 0, service.log())
    for (const service of services) assert.doesNotMatch(service.log(), /INTERNAL| error /)
  } finally {
    for (const service of services) await service.end('SIGKILL')
    await bench.end()
  }
}

/** With a umask that would show in every mode that depends on it. */
function start(driver: string, root: string, socket: string): Promise<Serving> {
  const umask = process.umask(0o077)
  const starting = startServing('docker', { root, driver, socket })
  process.umask(umask)
  return starting
}

const LAWFUL = [
  ...MAY_BE_IMPOSSIBLE,
  { cell: /^(overlay|vfs) on /, reason: /subvolumes/ },
  { cell: /^btrfs on /, reason: /^the backend has a quota$/ },
]

function requireLawful({ name }: Cell, reason: string): void {
  const isLawful = LAWFUL.some((each) => each.cell.test(name) && each.reason.test(reason))
  assert.ok(isLawful || reason.startsWith('the file system '), `must run here, but is impossible: ${reason}`)
}

describe('vfs: a copy by hand', { skip: whyNoFileSystem('tmpfs') ?? false }, () => {
  // EXDEV: the kernel can't share blocks between these files. EIO shows that sharing was tried.
  for (const [errno, outcome] of [
    ['EXDEV', 'is made where no blocks can be shared'],
    ['EIO', 'is not made where sharing fails otherwise'],
  ] as const) {
    test(outcome, async () => {
      const fileSystem = openFileSystem('tmpfs', { size: '256M' })
      try {
        const [root, socket] = [join(fileSystem.path, 'root'), join(fileSystem.path, 'socket')]
        const env = { VARVE_FAULT: `${errno}:ficlone:1` }
        const service = await startServing('docker', { root, driver: 'vfs', socket, env })
        try {
          await copyOne(dockerClient(socket), { succeeds: errno === 'EXDEV' })
          assert.equal(await service.end('SIGTERM'), 0, service.log())
        } finally {
          await service.end('SIGKILL')
        }
      } finally {
        fileSystem.close()
      }
    })
  }
})

async function copyOne(client: DockerClient, { succeeds }: { readonly succeeds: boolean }): Promise<void> {
  await client.done('Create', { ID: 'base' })
  const place = await client.get('base')
  makeTree(place, { big: file({ size: 3_000_000, fill: 7 }, { mode: 0o4751, mtime: 1_234_567_890n }) })
  const { status } = await client.call('Create', { ID: 'copy', Parent: 'base' })
  assert.equal(status === 200, succeeds)
  assert.equal((await client.done('Exists', { ID: 'copy' })).Exists, succeeds)
  if (succeeds) {
    assert.deepEqual(differences(snapshot(place), snapshot(await client.get('copy'))), [])
    await client.done('Put', { ID: 'copy' })
  }
  await client.done('Put', { ID: 'base' })
}
