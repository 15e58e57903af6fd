/**
 * A folder beside the layers with one of everything that a careless copy loses: `sentinel~` in the driver's home, made with
 * the root, what it was then is in the database. After `rsync -a`, a plain `tar` or `cp -r` of the root it differs, and so
 * it is known that layers do, also writable ones, which no digest vouches for. Not in it: holes, since a copy without them
 * has lost nothing but space.
 */
import { constants } from 'node:fs'
import type { Database } from '../db/database.js'
import { parseJson } from '../db/json.js'
import { errnoOf, messageOf } from '../errors.js'
import type { Graph } from '../graph/graph.js'
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

/** What each part of it stands for, in words. */
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
/** With a name of each of them a copy by names would find a user; these have none. */
const [UID, GID] = [65_431, 65_432]
const TIME = { sec: 1_234_567_890, nsec: 123_456_789 }

/** Makes it at the first opening of a root; what fails about that keeps nobody from the store, and the next one tries again. */
export async function ensureSentinel({ db, graph, home, warn }: SentinelContext): Promise<void> {
  if (db.meta.get('sentinel') !== undefined) return
  try {
    await graph.ifFree(NAME, () => {
      if (db.meta.get('sentinel') === undefined) db.meta.set('sentinel', makeSentinel(home))
    })
  } catch (error) {
    warn(`the mark by which a careless copy of the root is known could not be made: ${messageOf(error)}`)
  }
}

/** Makes it, durably, where there is none; gives what is to be kept of it. `home`: the driver's, byte string. */
export function makeSentinel(home: string): string {
  const path = `${home}/${NAME}`
  for (const name of readdir(home)) if (name.startsWith(NAME)) removeTree(`${home}/${name}`)
  const fresh = `${path}${process.pid}`
  mkdir(fresh, 0o700)
  for (const name of ['owner', 'mode', 'time', 'link']) touch(`${fresh}/${name}`)
  link(`${fresh}/link`, `${fresh}/link-2`)
  mkdir(`${fresh}/opaque`, 0o700)
  // What the file system or the caller's rights don't allow here no layer has either.
  ifAllowed(() => mknod(`${fresh}/whiteout`, constants.S_IFCHR, 0, 0))
  ifAllowed(() => setxattr(`${fresh}/opaque`, 'trusted.overlay.opaque', 'y'))
  ifAllowed(() => setxattr(`${fresh}/opaque`, 'user.varve', 'sentinel'))
  ifAllowed(() => lchown(`${fresh}/owner`, UID, GID))
  chmod(`${fresh}/mode`, 0o4751)
  utimens(`${fresh}/time`, TIME)
  try {
    renameat2(fresh, path, RENAME_NOREPLACE)
  } catch (error) {
    // Another process that opened the root was faster: its one is as good.
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
