/**
 * The schema, as ordered migrations: `MIGRATIONS[n]` takes version n to n + 1. A published one is never changed.
 * Digests are 32 raw bytes; paths, link targets and names in a layer are raw bytes too, so they sort by bytes.
 */
import { VarveError } from '../errors.js'
import type { Sql } from './sql.js'

/** The version this varve knows. */
export const schemaVersion = (): number => MIGRATIONS.length

/** `varv`, in the header of every database of ours. */
const APPLICATION_ID = 0x76617276

/** Brings the database to {@link schemaVersion}, in one transaction. @throws VarveError FAILED_PRECONDITION */
export function migrate(sql: Sql): void {
  if (versionOf(sql) === MIGRATIONS.length) return
  sql.tx(() => {
    // Read again: another process may have migrated while this one waited for the transaction.
    for (let version = versionOf(sql); version < MIGRATIONS.length; version++) {
      sql.exec(MIGRATIONS[version] ?? '')
      sql.pragma(`user_version = ${version + 1}`)
    }
    sql.pragma(`application_id = ${APPLICATION_ID}`)
  })
}

function versionOf(sql: Sql): number {
  const version = Number(sql.pragma('user_version'))
  const application = Number(sql.pragma('application_id'))
  if (application !== APPLICATION_ID && (application !== 0 || version !== 0)) {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `database ${sql.file}: not a database of varve's (application id ${application}); use another root`,
    )
  }
  if (version > MIGRATIONS.length) {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `database ${sql.file}: made by a newer varve: schema ${version}, this one knows ${MIGRATIONS.length}; upgrade varve`,
    )
  }
  return version
}

const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- Every layer of the store. Anything but 'ready' belongs to a process that works on it, or to a crash.
  CREATE TABLE node (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    layer TEXT NOT NULL UNIQUE,
    parent INTEGER REFERENCES node (id),
    kind TEXT NOT NULL CHECK (kind IN ('committed', 'active', 'view')),
    state TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'removing')),
    created REAL NOT NULL,
    updated REAL NOT NULL,
    size INTEGER,
    inodes INTEGER,
    labels TEXT NOT NULL DEFAULT '{}',
    -- the scratch space of the import that brought it for an image, until that image is there
    claim TEXT
  ) STRICT;
  CREATE INDEX node_parent ON node (parent) WHERE parent IS NOT NULL;
  CREATE INDEX node_claim ON node (claim) WHERE claim IS NOT NULL;
  CREATE INDEX node_unready ON node (state) WHERE state <> 'ready';

  -- Names of nodes: raw ids ('id'), snapshot keys ('snapshot').
  CREATE TABLE name (
    space TEXT NOT NULL,
    name TEXT NOT NULL,
    node INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    PRIMARY KEY (space, name)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX name_node ON name (node);

  -- What a committed node with a tar adds.
  CREATE TABLE layer (
    node INTEGER PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    chain_id BLOB NOT NULL UNIQUE CHECK (length(chain_id) = 32),
    diff_id BLOB NOT NULL CHECK (length(diff_id) = 32),
    tar_size INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    content_size INTEGER NOT NULL,
    -- JSON [[named, real], ...]: directories that the tar named through a symlink
    aliases TEXT NOT NULL DEFAULT '[]'
  ) STRICT;
  CREATE INDEX layer_diff_id ON layer (diff_id);

  -- The split record: all of a tar that is not file content, in chunks.
  CREATE TABLE split (
    node INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (node, seq)
  ) STRICT;

  -- File content that a later entry of the same tar replaced, so that the layer no longer has it.
  CREATE TABLE payload (
    node INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    seq INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (node, sha256, seq)
  ) STRICT;

  -- The layer's own content, as it ends up. A whiteout is a row of its path; an opaque marker a flag of its directory.
  CREATE TABLE file (
    node INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    path BLOB NOT NULL,
    type INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_sec INTEGER NOT NULL,
    mtime_nsec INTEGER NOT NULL,
    target BLOB,
    hardlink BLOB,
    dev_major INTEGER NOT NULL,
    dev_minor INTEGER NOT NULL,
    xattrs TEXT,
    sha256 BLOB,
    opaque INTEGER NOT NULL,
    -- 1: a directory without an entry of its own; 2: of which only marks are told.
    implied INTEGER NOT NULL,
    PRIMARY KEY (node, path)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX file_hardlink ON file (node, hardlink) WHERE hardlink IS NOT NULL;

  CREATE TABLE image (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    config BLOB NOT NULL,
    platform TEXT NOT NULL,
    created TEXT,
    imported REAL NOT NULL
  ) STRICT;

  CREATE TABLE image_layer (
    image INTEGER NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    node INTEGER NOT NULL REFERENCES node (id),
    PRIMARY KEY (image, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX image_layer_node ON image_layer (node);

  -- Names of images.
  CREATE TABLE reference (
    name TEXT PRIMARY KEY,
    image INTEGER NOT NULL REFERENCES image (id) ON DELETE CASCADE
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX reference_image ON reference (image);

  CREATE TABLE driver_state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- Where a node is mounted, by the store's doing, and how often it was asked for there.
  CREATE TABLE mount (
    node INTEGER NOT NULL REFERENCES node (id),
    target TEXT NOT NULL UNIQUE,
    count INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    readonly INTEGER NOT NULL,
    PRIMARY KEY (node, target)
  ) STRICT, WITHOUT ROWID;
  `,
  `
  -- Layers that were found damaged, until they are healed or found sound.
  CREATE INDEX file_marks ON file (node, path) WHERE opaque = 1 OR type = 7;
  CREATE TABLE damage (
    node INTEGER PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    found REAL NOT NULL,
    what TEXT NOT NULL
  ) STRICT;
  `,
  `
  -- At the store's own place, by the driver's recipe; and the mount by the kernel's numbers, once it is there.
  ALTER TABLE mount ADD COLUMN own INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE mount ADD COLUMN mount_id INTEGER;
  ALTER TABLE mount ADD COLUMN unique_id INTEGER;
  ALTER TABLE mount ADD COLUMN device INTEGER;
  ALTER TABLE mount ADD COLUMN inode INTEGER;
  UPDATE mount SET own = 1 WHERE boot_id = 'in place'
    OR target LIKE '%/mnt/' || (SELECT layer FROM node WHERE node.id = mount.node);

  -- Was mounted for writing, or was there for long: where it is missing, something is lost (core/recover/remake.ts).
  ALTER TABLE node ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
  UPDATE node SET settled = 1;
  -- The boot in which the last unmount made its own file system read-only to whoever has it still; NULL from the next mount on.
  ALTER TABLE node ADD COLUMN closed_boot TEXT;
  CREATE INDEX node_unsettled ON node (created) WHERE settled = 0 AND kind <> 'committed';
  `,
  // From here on a journal beside the database shows what the database lacks (core/journal); a varve that does not know of
  // it would remove layers. The lineage is the seed of the layers' ids.
  `
  INSERT INTO meta (key, value) VALUES ('generation', '0'), ('lineage', lower(hex(randomblob(16))))
    ON CONFLICT (key) DO NOTHING;
  `,
  `
  -- What the tar has and the layer could not take, as a notice said at the import: 'xattr user.x', 'owner', 'time' ...
  CREATE TABLE left_out (
    node INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    path BLOB NOT NULL,
    what TEXT NOT NULL,
    PRIMARY KEY (node, path, what)
  ) STRICT, WITHOUT ROWID;
  -- Of the layers that are here nobody knows.
  INSERT INTO left_out (node, path, what) SELECT node, x'', 'unrecorded' FROM layer;
  `,
]
