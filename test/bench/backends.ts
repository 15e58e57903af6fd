/** The cost of a layer on its backend, on a new file system. */
import { strict as assert } from 'node:assert'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { DriverModule } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { openStore, type Store } from '../../core/store.js'
import { btrfs } from '../../drivers/btrfs/driver.js'
import { createSnapshot, destroySubvolume } from '../../drivers/btrfs/ioctls.js'
import { walkedChanges } from '../../drivers/btrfs/native.js'
import { overlay } from '../../drivers/overlay/driver.js'
import { command, missingCommands } from '../../fixtures/command.js'
import { type DriverBench, openDriverBench } from '../conformance/driver-bench.js'
import { whyNoFileSystem } from '../support/file-system.js'
import { ours } from './commands.js'
import { byTurns } from './measure.js'
import type { Place } from './place.js'
import { type Row, row, timed } from './report.js'

/** The wanted ratio to a walk, for a diff that reads only the changes. */
const TENTH = 0.1
const CREATIONS = 1000

/** 6 changes in a layer of 100,000 files, and the creation of a child of it. */
export async function btrfsBench(place: Place, rounds: number): Promise<readonly Row[]> {
  const missing =
    missingCommands(['btrfs']).length > 0 ? 'there is no btrfs command (btrfs-progs)' : undefined
  if (isLeftOut('btrfs', missing ?? whyNoFileSystem('btrfs'))) return []
  return place.within('btrfs', async (path) => {
    const bench = await openDriverBench(btrfs, new Map(), path)
    const base = await bench.written(undefined, (tree) => makeFiles(tree))
    const store = await openStoreAt(join(path, 'store'), btrfs)
    try {
      const chain = await importTree(bench, base, store, join(place.directory, 'base.tar'))
      return [
        ...(await differences(bench, base, { store, chain }, rounds)),
        ...(await children(bench, base, { store, chain }, rounds * 10)),
      ]
    } finally {
      await store.close()
      await bench.driver.close()
    }
  })
}

/** Creates and removes a child of a layer. */
export async function overlayBench({ directory }: Place): Promise<readonly Row[]> {
  const root = join(directory, 'overlay')
  mkdirSync(root)
  const { verdict, reason } = await overlay.probe({ scratch: root, options: new Map() })
  if (isLeftOut('overlay', verdict === 'supported' ? undefined : reason)) return []
  const bench = await openDriverBench(overlay, new Map(), root)
  const base = await bench.written(undefined, (tree) => writeFileSync(join(tree, 'file'), 'base'))
  const store = await openStoreAt(join(root, 'store'), overlay)
  try {
    const { layer } = await store.commit((await store.create()).id)
    const [driver, disk, through] = await byTurns(CREATIONS, [
      { name: 'driver', run: throughDriver(bench, base) },
      { name: 'mkdir, fsync, rename, fsync, rmdir', run: async () => makeDurably(root) },
      { name: 'store', run: throughStore(store, layer.id) },
    ])
    return [
      timed(`overlay: create + remove of a child, the median of ${CREATIONS}`, driver, 0.002),
      row('the same against a directory that is made, on disk, and removed', driver, disk),
      timed('the same through the store, with its rows', through),
    ]
  } finally {
    await store.close()
    await bench.driver.close()
    rmSync(root, { recursive: true })
  }
}

/** The minimum for any driver: creates a directory atomically and durably, and removes it. */
function makeDurably(root: string): void {
  const [temporary, whole] = [join(root, 'temporary'), join(root, 'whole')]
  mkdirSync(temporary)
  syncDirectory(temporary)
  renameSync(temporary, whole)
  syncDirectory(root)
  rmSync(whole, { recursive: true })
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

interface Imported {
  readonly store: Store
  /** The base layer, in the store. */
  readonly chain: string
}

async function differences(
  bench: DriverBench,
  base: LayerId,
  { store, chain }: Imported,
  rounds: number,
): Promise<Row[]> {
  const sealed = await bench.written(base, changeSix)
  const active = await bench.create({ parent: base, writable: true })
  await bench.mounted(active, 'rw', changeSix)
  await store.create({ id: 'six', parent: chain })
  changeSix((await store.mount('six')).path)
  await store.unmount('six')
  await command('sync', ['-f', bench.root])
  const [old, now] = [await sourceOf(bench, base), await sourceOf(bench, sealed)]
  const walked = await walkedChanges(old, now)
  // The measured results are also correct.
  for (const each of [sealed, active]) assert.deepEqual(await bench.changes(each), walked)

  const send = 'btrfs -q send --no-data -p "$0" "$1" | wc -c'
  const [sent, changes, tar, activeChanges, activeTar, whole] = await byTurns(rounds * 3, [
    { name: 'btrfs send | wc -c', run: ['sh', '-c', send, old, now] },
    { name: 'changes', run: async () => void (await bench.changes(sealed)) },
    { name: 'diff', run: async () => void (await bench.diff(sealed)) },
    { name: 'changes', run: async () => void (await bench.changes(active)) },
    { name: 'diff', run: async () => void (await bench.diff(active)) },
    ours({ driver: 'btrfs' }, 'varve diff', store.root, ['diff', 'six']),
  ])
  const [native, walk] = await byTurns(Math.min(rounds, 3), [
    { name: 'changes', run: async () => void (await bench.changes(sealed)) },
    { name: 'walk', run: async () => void (await walkedChanges(old, now)) },
  ])
  const what = 'btrfs: 6 changes over 100,000 files'
  return [
    row(`${what}, listed`, changes, sent, 3),
    row(`${what}, as a tar`, tar, sent, 3),
    row(`${what}, listed, of a writable layer`, activeChanges, sent, 3),
    row(`${what}, as a tar, of a writable layer`, activeTar, sent, 3),
    row(`${what}, of a writable layer, by the whole command`, whole, sent),
    row(`${what}, listed, against a walk of both trees`, native, walk, TENTH),
  ]
}

async function children(
  bench: DriverBench,
  base: LayerId,
  { store, chain }: Imported,
  rounds: number,
): Promise<Row[]> {
  const source = await sourceOf(bench, base)
  const child = join(bench.root, 'child')
  const [driver, ioctls, commands, through] = await byTurns(rounds, [
    { name: 'driver', run: throughDriver(bench, base) },
    {
      name: 'snapshot + delete by ioctl, in this process',
      async run() {
        createSnapshot(source, child, false)
        destroySubvolume(child)
      },
    },
    {
      name: 'btrfs subvolume snapshot + delete',
      async run() {
        await command('btrfs', ['-q', 'subvolume', 'snapshot', source, child])
        await command('btrfs', ['-q', 'subvolume', 'delete', child])
      },
    },
    { name: 'store', run: throughStore(store, chain) },
  ])
  return [
    row('btrfs: create + remove of a child, against the commands', driver, commands, 1.5),
    row('the same against the two calls of the kernel', driver, ioctls),
    row('the same through the store, with its rows, against the commands', through, commands),
  ]
}

function throughDriver(bench: DriverBench, parent: LayerId): () => Promise<void> {
  return async () => bench.driver.remove(await bench.create({ parent, writable: true }))
}

function throughStore(store: Store, parent: string): () => Promise<void> {
  return async () => void (await store.remove((await store.create({ parent })).id))
}

/** 1,000 directories of 100 files. */
function makeFiles(tree: string): void {
  for (let i = 0; i < 1000; i++) {
    const directory = join(tree, `directory${i}`)
    mkdirSync(directory)
    for (let j = 0; j < 100; j++) writeFileSync(join(directory, `file${j}`), `${i} ${j}\n`)
  }
}

function changeSix(tree: string): void {
  const at = (path: string) => join(tree, path)
  writeFileSync(at('directory5/new'), 'new\n')
  writeFileSync(at('directory500/file5'), 'written\n')
  rmSync(at('directory7/file7'))
  chmodSync(at('directory9/file9'), 0o600)
  mkdirSync(at('directory11/directory'))
  symlinkSync('file0', at('directory13/link'))
}

/** Imports the tree of a bench's layer into the store. Resolves to its chain id. */
async function importTree(bench: DriverBench, id: LayerId, store: Store, tar: string): Promise<string> {
  const source = await sourceOf(bench, id)
  await command('tar', ['-cf', tar, '-C', source, '.'])
  try {
    return (await store.importLayer(tar)).chainId
  } finally {
    rmSync(tar)
  }
}

function openStoreAt(root: string, module: DriverModule): Promise<Store> {
  return openStore({ root, drivers: [module] })
}

/** The layer's directory, from its mount. */
async function sourceOf({ driver }: DriverBench, id: LayerId): Promise<string> {
  const [mount] = await driver.get(id, { readonly: true })
  if (mount?.type !== 'bind') throw new Error(`layer ${id} is no directory`)
  return mount.source
}

function isLeftOut(what: string, reason: string | undefined): boolean {
  if (reason !== undefined) console.log(`  left out: ${what}: ${reason}`)
  return reason !== undefined
}
