/**
 * The messages of snapshots.proto in proto-loader's form, and how the store's data becomes messages. A request has every
 * field: text that was not sent is '', a message that was not sent is null.
 */
import { fileURLToPath } from 'node:url'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { lstatOrUndefined } from '../../../core/face/service.js'
import {
  asText,
  fromText,
  type Labels,
  type Mount,
  type NodeKind,
  type SnapshotInfo,
} from '../../../core/store.js'

export interface NewSnapshotRequest {
  readonly key: string
  readonly parent: string
  readonly labels: Labels
}

export interface KeyRequest {
  readonly key: string
}

export interface CommitRequest {
  readonly name: string
  readonly key: string
  readonly labels: Labels
  readonly parent: string
}

export interface UpdateRequest {
  readonly info: { readonly name: string; readonly labels: Labels } | null
  readonly updateMask: { readonly paths: readonly string[] } | null
}

export interface ListRequest {
  readonly filters: readonly string[]
}

export interface Timestamp {
  readonly seconds: number
  readonly nanos: number
}

export interface InfoMessage {
  readonly name: string
  readonly parent: string
  readonly kind: 'VIEW' | 'ACTIVE' | 'COMMITTED'
  readonly createdAt: Timestamp
  readonly updatedAt: Timestamp
  readonly labels: Labels
}

export interface MountMessage {
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

const SERVICE = 'containerd.services.snapshots.v1.Snapshots'

/** The service as grpc-js wants it, for servers and clients. */
export async function loadService(): Promise<ServiceDefinition> {
  const { load } = await import('@grpc/proto-loader')
  const loaded = await load(protoFile(), { longs: Number, enums: String, defaults: true })
  // The package also defines messages, hence the cast.
  return loaded[SERVICE] as ServiceDefinition
}

export function infoMessage(info: SnapshotInfo): InfoMessage {
  return {
    name: info.name,
    parent: info.parent ?? '',
    kind: KINDS[info.kind],
    createdAt: timestamp(info.created),
    updatedAt: timestamp(info.updated),
    labels: info.labels,
  }
}

export function mountMessages(mounts: readonly Mount[]): readonly MountMessage[] {
  return mounts.map(({ type, source, options }) => ({
    type,
    source: asText(source),
    options: options.map(asText),
  }))
}

/** Rounded to microseconds, the precision of a time in milliseconds. */
export function timestamp(milliseconds: number): Timestamp {
  const micros = Math.round((milliseconds % 1000) * 1000)
  return { seconds: Math.floor(milliseconds / 1000) + Math.floor(micros / 1e6), nanos: (micros % 1e6) * 1000 }
}

const KINDS: Readonly<Record<NodeKind, InfoMessage['kind']>> = {
  view: 'VIEW',
  active: 'ACTIVE',
  committed: 'COMMITTED',
}

/** The compiler does not copy the file into dist; it is in the package (or checkout) as cli/serve/snapshots.proto. */
function protoFile(): string {
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    const file = fileURLToPath(new URL('cli/serve/snapshots.proto', folder))
    if (lstatOrUndefined(fromText(file)) !== undefined) return file
    if (folder.pathname === '/') throw new Error(`no cli/serve/snapshots.proto above ${import.meta.url}`)
  }
}
