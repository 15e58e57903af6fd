/**
 * containerd's snapshots service over a store: the ten calls of snapshots.proto. `Store.snapshots` has the rules. This file
 * adds what only the protocol needs: the name in every request, batches, and the lookup of layers that an administrator
 * imported (`containerd.io/snapshot.ref`).
 */
import type { UntypedServiceImplementation } from '@grpc/grpc-js'
import { quote } from '../../../core/face/service.js'
import { type SnapshotInfo, type Store, VarveError } from '../../../core/store.js'
import type { Calls } from '../calls.js'
import type { Fields } from '../log.js'
import { streamed, unary } from './grpc-calls.js'
import {
  type CommitRequest,
  type InfoMessage,
  infoMessage,
  type KeyRequest,
  type ListRequest,
  mountMessages,
  type NewSnapshotRequest,
  type UpdateRequest,
} from './snapshot-messages.js'

export interface SnapshotServiceOptions {
  /** What containerd's configuration calls the plug-in; calls for another one are refused. */
  readonly name: string
  readonly calls: Calls
}

/** Snapshots in an answer of List; containerd's own service sends as many. */
const BATCH = 100
/** Labels may make a snapshot large, and a slow client has this much waiting. */
const BATCH_BYTES = 256 * 1024
/**
 * The label of a Prepare that asks for a layer by its chain id. If it is here, containerd looks for a snapshot so labelled.
 */
const REF = 'containerd.io/snapshot.ref'

export function createSnapshotService(
  store: Store,
  { name, calls }: SnapshotServiceOptions,
): UntypedServiceImplementation {
  const { snapshots } = store
  const checked = <Q, A>(work: (request: Q) => A) => {
    return (request: Q & { readonly snapshotter: string }) => {
      requireName(request.snapshotter, name)
      return work(request)
    }
  }
  const call = <Q, A>(method: string, fields: (request: Q) => Fields, work: (request: Q) => Promise<A> | A) =>
    unary({ calls, method, fields, work: checked(work) })

  return {
    Prepare: call('Prepare', newFields, async (request: NewSnapshotRequest) => {
      const { key, labels } = request
      const parent = request.parent === '' ? undefined : request.parent
      const ref = Object.hasOwn(labels, REF) ? labels[REF] : undefined
      if (ref !== undefined && isHere(store, ref, parent)) {
        throw new VarveError('ALREADY_EXISTS', `prepare snapshot ${quote(key)}: layer ${ref} is here already`)
      }
      return { mounts: mountMessages(await snapshots.prepare(key, { parent, labels })) }
    }),

    View: call('View', newFields, async ({ key, parent, labels }: NewSnapshotRequest) => ({
      mounts: mountMessages(
        await snapshots.view(key, { parent: parent === '' ? undefined : parent, labels }),
      ),
    })),

    Mounts: call('Mounts', keyFields, async ({ key }: KeyRequest) => ({
      mounts: mountMessages(await snapshots.mounts(key)),
    })),

    Commit: call(
      'Commit',
      ({ key, name }) => ({ key: short(key), name: short(name) }),
      async (request: CommitRequest) => {
        const { name, key, labels, parent } = request
        if (parent !== '' && snapshots.stat(key).parent !== parent) {
          throw new VarveError(
            'UNIMPLEMENTED',
            `commit snapshot ${quote(key)}: it can't be moved to another parent, ${quote(parent)}`,
          )
        }
        await snapshots.commit(name, key, { labels })
        return {}
      },
    ),

    Remove: call('Remove', keyFields, async ({ key }: KeyRequest) => {
      await snapshots.remove(key)
      return {}
    }),

    Stat: call('Stat', keyFields, ({ key }: KeyRequest) => ({ info: infoMessage(snapshots.stat(key)) })),

    Update: call(
      'Update',
      ({ info }) => ({ key: short(info?.name ?? '') }),
      ({ info, updateMask }: UpdateRequest) => {
        if (info === null)
          throw new VarveError('INVALID_ARGUMENT', 'update snapshot: the request has no info')
        return { info: infoMessage(snapshots.update(info, updateMask?.paths)) }
      },
    ),

    List: streamed({
      method: 'List',
      fields: ({ filters }) => ({ filters: filters.length }), // they hold values of labels
      calls,
      work: checked(({ filters }: ListRequest) => batches(snapshots.walk(filters))),
    }),

    Usage: call('Usage', keyFields, ({ key }: KeyRequest) => snapshots.usage(key)),

    Cleanup: call(
      'Cleanup',
      () => ({}),
      async () => {
        await snapshots.cleanup()
        return {}
      },
    ),
  }
}

function keyFields({ key }: KeyRequest): Fields {
  return { key: short(key) }
}

function newFields({ key, parent }: NewSnapshotRequest): Fields {
  return { key: short(key), parent: short(parent) }
}

/** Shortened for the log: a key may be as long as a message. */
function short(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`
}

/** @throws VarveError INVALID_ARGUMENT, as containerd's own service does for an unknown snapshotter */
function requireName(asked: string, name: string): void {
  if (asked === name) return
  throw new VarveError(
    'INVALID_ARGUMENT',
    `snapshotter ${quote(asked)}: this service is ${quote(name)}; use that name in containerd's configuration, or start the service with --name`,
  )
}

/**
 * Adopts the imported layer with this chain id as a snapshot on `parent`. False if there is none, or if its parent is
 * another copy. Layers that containerd unpacked itself don't count, because only an import verifies the digest.
 */
function isHere(store: Store, chainId: string, parent: string | undefined): boolean {
  const layer = store.snapshots.layerOf(chainId)
  if (layer === undefined) return false
  try {
    const info = store.snapshots.adopt(layer, chainId, { parent, labels: { [REF]: chainId } })
    return info.parent === parent
  } catch (error) {
    const expected = ['ALREADY_EXISTS', 'FAILED_PRECONDITION', 'INVALID_ARGUMENT', 'NOT_FOUND']
    if (error instanceof VarveError && expected.includes(error.code)) return false
    throw error
  }
}

function* batches(infos: Iterable<SnapshotInfo>): Generator<{ readonly info: readonly InfoMessage[] }, void> {
  let batch: InfoMessage[] = []
  let bytes = 0
  for (const info of infos) {
    batch.push(infoMessage(info))
    bytes += sizeOf(info)
    if (batch.length < BATCH && bytes < BATCH_BYTES) continue
    yield { info: batch }
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield { info: batch }
}

/** The approximate size of the message, never less than half of it. */
function sizeOf({ name, parent = '', labels }: SnapshotInfo): number {
  return Object.entries(labels).reduce(
    (sum, [key, value]) => sum + key.length + value.length,
    name.length + parent.length + 50,
  )
}
