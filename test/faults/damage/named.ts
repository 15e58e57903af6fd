/** Every check by its name in findings: the damage that it must find, and what a repair does about it. */
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { REMADE } from '../../../core/graph/labels.js'
import { removeAttribute, setTime } from '../../support/libc.js'
import { body, END, file, header, pax } from '../../support/tar-bytes.js'
import { flipBit } from './damages.js'
import { directoryIn, NAME, type Stage } from './stage.js'

export interface Named {
  readonly check: string
  readonly title: string
  /** Only on this backend; undefined: on all. */
  readonly only?: string
  prepare?(stage: Stage): Promise<unknown>
  plant(stage: Stage): void
  readonly says: RegExp
  /** Only a check of every byte finds it. */
  readonly needsData?: true
  /** The finding is remembered from an earlier check; a check of every byte looks again. */
  readonly isRemembered?: true
  /**
   * A committed layer was changed. A backend that seals layers itself reports the broken seal, and the layer is not read.
   */
  readonly isBehind?: true
  /** Other checks that may report something. */
  readonly others?: readonly string[]
  /** The check that still reports something after repairs, for `varve repair --from`, a rebuild or a person. */
  readonly left?: string
  /** `varve check --rebuild` repairs it. */
  readonly rebuild?: true
  /** Paths below the root that a repair may remove, as the leftovers of an interrupted process. */
  goes?(stage: Stage): RegExp
}

const WORK = 'work'
const create = ({ store }: Stage) => store.create({ id: WORK, parent: NAME })

export const NAMED: readonly Named[] = [
  ...['image', 'node', 'parent'].map(
    (what): Named => ({
      check: 'database',
      title: `a row that names a missing ${what}`,
      plant: sql(
        {
          image: "INSERT INTO reference (name, image) VALUES ('dangling', 4711)",
          node: "INSERT INTO name (space, name, node) VALUES ('id', 'dangling', 4711)",
          parent: 'INSERT INTO image_layer (image, position, node) SELECT id, 9, 4711 FROM image',
        }[what] ?? '',
      ),
      says: /database: .*names a row of (image|node) that is not there.*--rebuild/,
      others: ['image'],
      left: 'database',
      rebuild: true,
    }),
  ),
  {
    check: 'history',
    title: 'the journal lost its end',
    plant({ root }) {
      const path = join(root, 'records/journal')
      const lines = readFileSync(path, 'latin1').split('\n')
      writeFileSync(path, `${lines.slice(0, -2).join('\n')}\n`, 'latin1')
    },
    says: /history: .*records\/journal: is damaged, or lacks something/,
  },
  {
    check: 'history',
    title: 'a line of the journal is garbage',
    plant: ({ root }) => flipBit(join(root, 'records/journal'), 60, 2),
    says: /history: .*records\/journal: is damaged, or lacks something/,
  },
  {
    check: 'layer-directory',
    title: 'a writable layer is gone',
    prepare: create,
    plant: (stage) => removeLayer(stage, WORK),
    says: /layer-directory: work: .*(is in the database, but the driver \w+ does not have it|there is no)/,
    left: 'layer-directory',
  },
  {
    check: 'layer-directory',
    title: 'a layer directory without a row',
    plant(stage) {
      const { root, cell } = stage
      const path = directoryIn(root, cell.driver, 'strange1')
      if (cell.driver === 'btrfs') execFileSync('btrfs', ['subvolume', 'create', path], { stdio: 'pipe' })
      else mkdirSync(path, { recursive: true })
      writeFileSync(join(path, 'precious'), 'precious')
    },
    says: /layer-directory: strange1: .*does not know it; it is kept as it is/,
  },
  {
    check: 'layer-directory',
    title: "a layer's row is missing, and its record is there",
    prepare: (stage) => importTar(stage, file('alone', 'alone\n')),
    plant: sql('PRAGMA foreign_keys = ON', 'DELETE FROM node WHERE id = (SELECT max(id) FROM node)'),
    says: /layer-directory: \w+: .*does not know it; it is kept as it is/,
  },
  {
    check: 'layer-remade',
    title: 'a layer that a power cut took',
    prepare: create,
    plant: sql(`UPDATE node SET labels = '{"${REMADE}":"2026-01-01"}' WHERE kind = 'active'`),
    says: /layer-remade: .*was made again, empty, at "2026-01-01"/,
    left: 'layer-remade',
  },
  {
    check: 'layer-seal',
    title: 'a sealed layer was made writable, but not changed',
    only: 'btrfs',
    plant: ({ directoryOf }) =>
      void execFileSync('btrfs', ['property', 'set', '-f', '-ts', directoryOf(0), 'ro', 'false']),
    says: /layer-seal: .*\[varve repair --from SOURCE \w+\]/,
    others: ['layer-data'],
    left: 'layer-seal',
  },
  {
    check: 'layer-state',
    title: 'a removal that was interrupted',
    prepare: create,
    plant: sql("UPDATE node SET state = 'removing' WHERE kind = 'active'"),
    says: /layer-state: .*is still "removing"; the process that worked on it was interrupted/,
    goes: ({ store }) => new RegExp(`/${store.layer(WORK).id}(/|$)`),
  },
  {
    check: 'chain',
    title: 'wrong parent',
    plant: sql(`UPDATE node SET parent = (SELECT min(id) FROM node) WHERE id = (SELECT max(id) FROM node)`),
    says: /chain: \w+: its chain id is sha256:\w+, but its diff id and its parent make/,
    others: ['image', 'layer-data', 'layer-files'],
    left: 'chain',
    rebuild: true,
  },
  {
    check: 'history',
    title: 'wrong parent of a writable layer',
    prepare: create,
    plant: sql("UPDATE node SET parent = (SELECT min(id) FROM node) WHERE kind = 'active'"),
    says: /history: \w+: its parent in the database is \w+, but \w+ in the journal beside it/,
    left: 'history',
    rebuild: true,
  },
  {
    check: 'chain',
    title: 'another chain id',
    plant: sql('UPDATE layer SET chain_id = randomblob(32) WHERE node = (SELECT max(id) FROM node)'),
    says: /chain: \w+: its chain id is/,
    left: 'chain',
    rebuild: true,
  },
  {
    check: 'record',
    title: 'the record of a tar is broken, but its copy beside the layers is not',
    plant: sql("UPDATE split SET data = x'00' WHERE node = (SELECT max(id) FROM node)"),
    says: /record: .*the record of its tar (can't be read|tells)/,
    others: ['layer-data'],
  },
  {
    check: 'record',
    title: 'the record of a tar is broken, and its copy beside the layers too',
    plant(stage) {
      sql("UPDATE split SET data = x'00' WHERE node = (SELECT max(id) FROM node)")(stage)
      rmSync(join(stage.root, 'records', stage.store.image(NAME).layers[2] ?? ''), { recursive: true })
    },
    says: /record: .*\[varve repair --from SOURCE \w+\]/,
    others: ['layer-data', 'record-file'],
    left: 'record',
  },
  {
    check: 'sparse-entries',
    title: 'a layer of 0.1.0',
    plant: () => {},
    prepare: (stage) => importTar(stage, SPARSE),
    says: /sparse-entries: .*1 sparse entries, as an earlier varve wrote them/,
    left: 'sparse-entries',
  },
  {
    check: 'image',
    title: 'another config',
    plant: sql("UPDATE image SET config = CAST(replace(CAST(config AS TEXT), '/bin/sh', '/bin/ls') AS BLOB)"),
    says: /image: .*its config has the digest sha256:\w+, not sha256:/,
    left: 'image',
    rebuild: true,
  },
  {
    check: 'image',
    title: 'a layer of an image is missing',
    plant: sql('DELETE FROM image_layer WHERE position = 2'),
    says: /image: .*it has 2 layers, its config names 3/,
    left: 'image',
    rebuild: true,
  },
  {
    check: 'image',
    title: 'layers in another order',
    plant: sql(
      'UPDATE image_layer SET position = 7 - position WHERE position > 0',
      'UPDATE image_layer SET position = position - 4 WHERE position > 4',
    ),
    says: /image: .*layer \d is not on top of layer \d/,
    left: 'image',
    rebuild: true,
  },
  {
    check: 'mounts',
    title: 'a row without its mount',
    prepare: async (stage) => {
      await create(stage)
      await stage.store.mount(WORK)
    },
    plant: ({ root, store }) => execFileSync('umount', [join(root, 'mnt', store.layer(WORK).id)]),
    says: /mounts: \w+: should be mounted at .*, but is not/,
    // The empty mount point of a forgotten mount is removed too.
    goes: ({ store }) => new RegExp(`^mnt/${store.layer(WORK).id}$`),
  },
  {
    check: 'mounts',
    title: 'an unknown mount point, empty',
    plant: ({ root }) => mkdirSync(join(root, 'mnt/strange2'), { recursive: true }),
    says: /mounts: .*mnt\/strange2: is a mount point without a known mount/,
    goes: () => /^mnt\/strange2$/,
  },
  {
    check: 'mounts',
    title: 'an unknown mount point, with files in it',
    plant({ root }) {
      mkdirSync(join(root, 'mnt/strange3'), { recursive: true })
      writeFileSync(join(root, 'mnt/strange3/precious'), 'precious')
    },
    says: /mounts: .*mnt\/strange3: is a mount point without a known mount/,
    left: 'mounts',
  },
  {
    check: 'root-mode',
    title: 'other users can read the root',
    plant: ({ root }) => chmodSync(root, 0o755),
    says: /root-mode: .*its mode is 0755/,
  },
  {
    check: 'leftovers',
    title: 'scratch space of a dead process',
    plant({ root }) {
      mkdirSync(join(root, 'tmp/4711-abcdefabcdef'))
      writeFileSync(join(root, 'tmp/4711-abcdefabcdef/1'), 'half')
    },
    says: /leftovers: .*is scratch space of a process that is gone/,
    goes: () => /^tmp\/4711-/,
  },
  {
    check: 'leftovers',
    title: 'a folder in tmp that is not a scratch space of varve',
    plant({ root }) {
      mkdirSync(join(root, 'tmp/mine'))
      writeFileSync(join(root, 'tmp/mine/precious'), 'precious')
    },
    says: /leftovers: .*tmp\/mine: does not belong to the store/,
    left: 'leftovers',
  },
  {
    check: 'layer-marks',
    title: 'a file that a layer deletes is visible again',
    isBehind: true,
    plant: ({ behind }) =>
      behind(2, (at) => {
        rmSync(join(at, 'srv/gone'), { force: true })
        writeFileSync(join(at, 'srv/gone'), 'gone\n')
      }),
    says: /layer-marks: .*\/srv\/gone: is deleted in this layer, but shows/,
    others: ['layer-files'],
    left: 'layer-marks',
  },
  {
    check: 'damage',
    title: 'damage that was found before',
    plant: sql("INSERT INTO damage (node, found, what) SELECT min(id), 0, 'a bit flipped' FROM node"),
    says: /damage: .*is damaged, as was found at 1970-.*: a bit flipped \[varve repair --from/,
    isRemembered: true,
  },
  {
    check: 'layer-data',
    title: 'a bit of a file flipped',
    isBehind: true,
    plant: ({ behind }) =>
      behind(0, (at) => {
        flipBit(join(at, 'etc/big'), 400_000, 1)
        setTime(Buffer.from(join(at, 'etc/big')), 1_000_000_000_000_000n)
      }),
    says: /layer-data: .*\/etc\/big.*\[varve repair --from SOURCE \w+\]/,
    needsData: true,
    left: 'layer-data',
  },
  {
    check: 'layer-files',
    title: 'an extra file in a layer',
    isBehind: true,
    plant: ({ behind }) => behind(0, (at) => appendFileSync(join(at, 'etc/extra'), 'precious')),
    says: /layer-files: .*\/etc\/extra: should not be there/,
    needsData: true,
    left: 'layer-files',
  },
  ...(
    [
      ['has a bit flipped', (path) => flipBit(path, 100, 3), 'is damaged'],
      ['was cut off', (path) => truncateSync(path, 200), 'is damaged'],
      ['is gone', (path) => rmSync(path), 'has no file in records/'],
      [
        'is a directory',
        (path) => {
          rmSync(path)
          mkdirSync(path)
          writeFileSync(`${path}/precious`, 'precious')
        },
        'is no regular file',
      ],
      [
        'is a symlink',
        (path) => {
          renameSync(path, `${path}.moved`)
          symlinkSync(`${path}.moved`, path)
        },
        'is no regular file',
      ],
      ["is another layer's", (path, other) => copyFileSync(other, path), 'is the record of another layer'],
    ] satisfies [string, (path: string, other: string) => void, string][]
  ).map(
    ([title, damage, says]): Named => ({
      check: 'record-file',
      title: `the record of a layer ${title}`,
      plant: (stage) => damage(recordOf(stage, 0), recordOf(stage, 1)),
      says: new RegExp(`record-file: .*${says}`),
      needsData: true,
      // What was there is in backup/.
      goes: ({ store }) => new RegExp(`^records/${store.image(NAME).layers[0]}(/precious)?$`),
    }),
  ),
  {
    check: 'root-copy',
    title: 'the sentinel lost an attribute',
    plant: ({ root, cell }) =>
      removeAttribute(Buffer.from(join(root, cell.driver, 'sentinel~/opaque')), 'trusted.overlay.opaque'),
    says: /root-copy: .*the data root is a copy, made or restored without trusted\.\* attributes/,
  },
]

/** A file of 3 MiB with two bytes at 1 MiB, as varve 0.1.0 wrote it. */
const SPARSE = Buffer.concat([
  pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'sparse'],
    ['GNU.sparse.realsize', '3145728'],
  ]),
  header({ name: 'GNUSparseFile.0/sparse', size: 514 }),
  body('2\n1048576\n2\n3145728\n0\n'),
  body('ab'),
])

/** The file of a layer of the image in records/. */
function recordOf({ root, store }: Stage, layer: number): string {
  return join(root, 'records', store.image(NAME).layers[layer] ?? '')
}

async function importTar({ store, place }: Stage, entries: Buffer): Promise<void> {
  writeFileSync(join(place, 'layer.tar'), Buffer.concat([entries, END]))
  await store.importLayer(join(place, 'layer.tar'))
}

/** Changes rows behind the store's back, as another program would, without regard to references. */
function sql(...statements: readonly string[]): (stage: Pick<Stage, 'root'>) => void {
  return ({ root }) => {
    const db = new Sqlite(join(root, 'varve.db'))
    try {
      db.pragma('foreign_keys = OFF')
      for (const statement of statements) db.exec(statement)
    } finally {
      db.close()
    }
  }
}

function removeLayer({ root, cell, store }: Stage, name: string): void {
  const path = directoryIn(root, cell.driver, store.layer(name).id)
  if (cell.driver === 'btrfs') execFileSync('btrfs', ['subvolume', 'delete', path], { stdio: 'pipe' })
  else rmSync(path, { recursive: true })
}
