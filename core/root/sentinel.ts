/**
 * A folder beside the layers, `sentinel~` in the driver's home, with one of everything that a careless copy loses. It is
 * made with the root, and its facts are kept in the database. After `rsync -a`, a plain `tar` or `cp -r` of the root it
 * differs, and so do the layers, even writable ones, for which there is no digest. It has no holes, since a copy without
 * them has lost nothing but space.
 */
import { constants } from 'node:fs'
import type { Database } from '../db/database.js'
import { parseJson } from '../db/json.js'
import { errnoOf, messageOf } from '../errors.js'
import type { Graph } from '../graph/types.js'
import {
  chmod,
  close,
  lchown,
  link,
  mkdir,
  mknod,
  open,
  RENAME_NOREPLACE,
  readdir,
  removeTree,
  renameat2,
  utimens,
} from '../sys/files.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { syncFileSystem } from '../sys/sync.js'
import { setxattr } from '../sys/xattr.js'
import { readXattrs } from '../tree/attributes.js'

/** What each part of it stands for, in the words of a message. */
const PARTS = {
  whiteout: 'devices 0:0, the marks of deleted files',
  opaque: 'trusted.* attributes, the marks of opaque directories',
  user: 'user.* attributes',
  owner: 'owners by number',
  mode: 'modes with setuid bits',
  time: 'times to the nanosecond',
  link: 'hard links',
} as const

type Part = keyof typeof PARTS
/** What was there when it was made, by part. */
type Facts = Readonly<Partial<Record<Part, string>>>

interface SentinelContext {
  readonly db: Database
  readonly graph: Graph
  /** Byte string. */
  readonly home: string
  readonly warn: (message: string) => void
}

const NAME = 'sentinel~'
/** Numbers that no user and no group has, so that no copy finds a name for them. */
const [UID, GID] = [65_431, 65_432]
const TIME = { sec: 1_234_567_890, nsec: 123_456_789 }

/** Makes it at the first opening of a root. A failure is a warning only, and the next opening tries again. */
export async function ensureSentinel({ db, graph, home, warn }: SentinelContext): Promise<void> {
  if (db.meta.get('sentinel') !== undefined) return
  try {
    await graph.ifFree(NAME, () => {
      if (db.meta.get('sentinel') === undefined) db.meta.set('sentinel', makeSentinel(home))
    })
  } catch (error) {
    warn(`the sentinel that shows a careless copy of the root could not be made: ${messageOf(error)}`)
  }
}

/** Makes a new one, durably, and returns the facts to keep of it. `home`: the driver's, byte string. */
export function makeSentinel(home: string): string {
  const path = `${home}/${NAME}`
  for (const name of readdir(home)) if (name.startsWith(NAME)) removeTree(`${home}/${name}`)
  const fresh = `${path}${process.pid}`
  mkdir(fresh, 0o700)
  for (const name of ['owner', 'mode', 'time', 'link']) touch(`${fresh}/${name}`)
  link(`${fresh}/link`, `${fresh}/link-2`)
  mkdir(`${fresh}/opaque`, 0o700)
  // What the file system or the caller's rights don't allow here, no layer has either.
  ifAllowed(() => mknod(`${fresh}/whiteout`, constants.S_IFCHR, 0, 0))
  ifAllowed(() => setxattr(`${fresh}/opaque`, 'trusted.overlay.opaque', 'y'))
  ifAllowed(() => setxattr(`${fresh}/opaque`, 'user.varve', 'sentinel'))
  ifAllowed(() => lchown(`${fresh}/owner`, UID, GID))
  chmod(`${fresh}/mode`, 0o4751)
  utimens(`${fresh}/time`, TIME)
  try {
    renameat2(fresh, path, RENAME_NOREPLACE)
  } catch (error) {
    // Another process that opened the root was faster: its sentinel is as good.
    if (errnoOf(error) !== 'EEXIST') throw error
    removeTree(fresh)
  }
  syncFileSystem(home)
  return JSON.stringify(factsOf(home))
}

/** What a copy lost, in words; `kept` is what makeSentinel gave. */
export function lostParts(home: string, kept: string): readonly string[] {
  const before = parseJson<Facts>(kept, 'the facts of the sentinel')
  const now = factsOf(home)
  return (Object.keys(PARTS) as Part[])
    .filter((part) => before[part] !== undefined && before[part] !== now[part])
    .map((part) => PARTS[part])
}

function factsOf(home: string): Facts {
  const path = `${home}/${NAME}`
  const of = (name: string) => lstatOrUndefined(`${path}/${name}`)
  const [whiteout, opaque, owner, mode, time] = ['whiteout', 'opaque', 'owner', 'mode', 'time'].map(of)
  const xattrs = opaque === undefined ? new Map<string, string>() : readXattrs(`${path}/opaque`)
  const [first, second] = [of('link'), of('link-2')]
  const facts: Record<Part, string | undefined> = {
    whiteout: whiteout && `${whiteout.mode} ${whiteout.rdevMajor}:${whiteout.rdevMinor}`,
    opaque: xattrs.get('trusted.overlay.opaque'),
    user: xattrs.get('user.varve'),
    owner: owner && `${owner.uid}:${owner.gid}`,
    mode: mode && String(mode.mode & 0o7777),
    time: time && `${time.mtimeSec}.${time.mtimeNsec}`,
    link: first && String(first.ino === second?.ino),
  }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

function touch(path: string): void {
  close(open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600))
}

function ifAllowed(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!['EPERM', 'EACCES', 'EOPNOTSUPP', 'ENOTSUP', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error
  }
}
