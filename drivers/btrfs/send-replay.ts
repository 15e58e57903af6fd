/**
 * Follows the commands of a send stream by names alone, and tells which names of the new tree may differ from the old one.
 *
 * The stream makes one tree into the other step by step: a new file first has a temporary name (`o257-8-0`: inode, generation,
 * a number), what is in the way of another is moved to such a name, and directories are renamed and renamed again while
 * things in them change. So a path of the stream means something only at that moment. What is kept is the part of the
 * tree that was spoken of: each name there, where it was in the old tree, and whether its file was touched.
 */
import { VarveError } from '../../core/errors.js'
import { directoryOf, join } from '../../core/paths.js'
import { type SendCommand, textOf } from './send-stream.js'

/** A name that may be a change: of the old tree, of the new one, or of both. */
export interface Candidate {
  readonly path: string
  /** It may name another file or directory than it did, or none: all below it is in question too. */
  readonly rebound: boolean
  /** Its content may have changed, not only what lstat and its attributes tell. */
  readonly content: boolean
}

export interface Replay {
  command(command: SendCommand): void
  /** In no order, each path once. Memory: the names that the stream spoke of. */
  candidates(): Iterable<Candidate>
}

interface Touched {
  attributes: boolean
  content: boolean
}

interface Node {
  /** Its path in the old tree; undefined for what is new. */
  readonly origin: string | undefined
  /** Shared by the names of one file, as far as the stream says that they are. */
  readonly touched: Touched
  /** Names spoken of. Those of the old directory that are not here are as they were. */
  readonly names: Map<string, Name>
}

interface Name {
  /** undefined: there is nothing of that name now. */
  readonly node: Node | undefined
  /** The old directory may have had it. */
  readonly old: boolean
}

export function createReplay(): Replay {
  const root = createNode('')

  const find = (path: string): Node => {
    let node = root
    if (path === '') return node
    for (const name of path.split('/')) {
      const next = childOf(node, name)
      if (next === undefined) throw strange(`speaks of "${path}", which is not there`)
      node = next
    }
    return node
  }
  const bind = (path: string, node: Node | undefined, mayBeOld: boolean): void => {
    const { names } = find(directoryOf(path))
    const name = path.slice(path.lastIndexOf('/') + 1)
    const old = names.get(name)?.old ?? mayBeOld
    // A name that came and went within the stream is no name of either tree.
    if (node === undefined && !old) names.delete(name)
    else names.set(name, { node, old })
  }

  return {
    command(command) {
      const { name } = command
      if (name === 'end' || name === 'subvol' || name === 'snapshot') return
      const path = textOf(command, 'path')
      switch (name) {
        case 'mkfile':
        case 'mkdir':
        case 'mknod':
        case 'mkfifo':
        case 'mksock':
        case 'symlink':
          bind(path, createNode(undefined), false)
          break
        case 'rename': {
          const node = find(path)
          bind(path, undefined, true)
          bind(textOf(command, 'path_to'), node, true)
          break
        }
        case 'link': {
          const { touched } = find(textOf(command, 'path_link'))
          bind(path, { origin: undefined, touched, names: new Map() }, true)
          break
        }
        case 'unlink':
        case 'rmdir':
          find(path)
          bind(path, undefined, true)
          break
        case 'chmod':
        case 'chown':
        case 'utimes':
        case 'set_xattr':
        case 'remove_xattr':
        case 'fileattr':
          find(path).touched.attributes = true
          break
        case 'write':
        case 'encoded_write':
        case 'clone':
        case 'truncate':
        case 'update_extent':
        case 'fallocate':
          find(path).touched.content = true
          break
        default:
          throw strange(`has a command "${name}"`)
      }
    },

    *candidates() {
      const { attributes, content } = root.touched
      if (attributes || content) yield { path: '', rebound: false, content: false }
      const pending: (readonly [path: string, node: Node])[] = [['', root]]
      for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
        const [above, { names }] = next
        for (const [name, { node }] of names) {
          const path = join(above, name)
          const candidate = candidateOf(path, node)
          if (candidate !== undefined) yield candidate
          if (node !== undefined) pending.push([path, node])
        }
      }
    },
  }
}

function candidateOf(path: string, node: Node | undefined): Candidate | undefined {
  if (node === undefined) return { path, rebound: true, content: true }
  const rebound = node.origin !== path
  const { attributes, content } = node.touched
  if (!rebound && !attributes && !content) return undefined
  return { path, rebound, content: rebound || content }
}

function childOf(node: Node, name: string): Node | undefined {
  const known = node.names.get(name)
  if (known !== undefined) return known.node
  if (node.origin === undefined) return undefined
  const child = createNode(join(node.origin, name))
  node.names.set(name, { node: child, old: true })
  return child
}

function createNode(origin: string | undefined): Node {
  return { origin, touched: { attributes: false, content: false }, names: new Map() }
}

function strange(what: string): VarveError {
  return new VarveError('CORRUPT', `btrfs send stream: it ${what}`)
}
