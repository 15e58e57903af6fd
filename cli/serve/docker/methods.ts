/** The plug-in's methods that answer with one JSON object. The methods that stream are in streams.ts. */

import { type Store, VarveError } from '../../../core/store.js'
import type { Fields } from '../log.js'
import { type InitContext, init, toldBefore } from './init.js'
import { mapIn, optionalIn, type Request, textIn } from './request.js'
import type { Unfilled } from './streams.js'

export type Answer = Readonly<Record<string, unknown>>

export interface Method {
  /** The request's subject, for the log. */
  fields(request: Request): Fields
  answer(request: Request, signal: AbortSignal): Promise<Answer> | Answer
}

/**
 * By name, without the leading `GraphDriver.`. The capabilities say that a layer's tar can't be reproduced exactly, because
 * a layer that BuildKit wrote through a mount never was a tar. So dockerd keeps its own tar-split record and reads the
 * files.
 */
export function createMethods(
  context: InitContext & { readonly unfilled: Unfilled },
): ReadonlyMap<string, Method> {
  const { store, unfilled } = context
  const { graphDriver } = store
  const create = (request: Request) => {
    refuseLabel(request)
    const options = new Map(
      [...mapIn(request, 'StorageOpt')].map(([key, value]) => [key.toLowerCase(), value]),
    )
    return done(graphDriver.create(textIn(request, 'ID'), { parent: optionalIn(request, 'Parent'), options }))
  }
  const createForTar = async (request: Request) => {
    const answer = await create(request)
    unfilled.add(textIn(request, 'ID'))
    return answer
  }
  const exact = { ReproducesExactDiffs: false }
  return new Map(
    Object.entries({
      Activate: method(nothing, () => ({ Implements: ['GraphDriver'] })),
      Init: method(nothing, (request) => {
        init(context, request)
        return {}
      }),
      // The documentation has the field at the top level, but the engine reads it below Capabilities.
      Capabilities: method(nothing, () => ({ Capabilities: exact, ...exact })),
      Create: method(layer, createForTar),
      CreateReadWrite: method(layer, create),
      Remove: method(layer, (request) => {
        unfilled.delete(textIn(request, 'ID'))
        return done(graphDriver.remove(textIn(request, 'ID')))
      }),
      Get: method(layer, async (request) => {
        refuseLabel(request)
        return { Dir: await graphDriver.get(textIn(request, 'ID')) }
      }),
      Put: method(layer, (request) => done(graphDriver.put(textIn(request, 'ID')))),
      Exists: method(layer, (request) => ({ Exists: graphDriver.exists(textIn(request, 'ID')) })),
      Status: method(nothing, async () => ({ Status: await statusOf(store) })),
      GetMetadata: method(layer, async (request) => ({
        Metadata: await graphDriver.metadata(textIn(request, 'ID')),
      })),
      // The mounts belong to containers that may outlive dockerd (live restore); the last Put unmounts.
      Cleanup: method(nothing, () => ({})),
      DiffSize: method(layer, async (request, signal) => ({
        Size: await graphDriver.diffSize(textIn(request, 'ID'), optionalIn(request, 'Parent'), { signal }),
      })),
    }),
  )
}

/** For the log; takes any request, even a malformed one. */
export function layer(request: Request): Fields {
  const text = (field: string) =>
    typeof request[field] === 'string' ? request[field].slice(0, 300) : undefined
  return { id: text('ID'), parent: text('Parent') || undefined }
}

function nothing(): Fields {
  return {}
}

function method(fields: Method['fields'], answer: Method['answer']): Method {
  return { fields, answer }
}

async function done(work: Promise<void>): Promise<Answer> {
  await work
  return {}
}

/** Refuses an SELinux context for the files of a layer. */
function refuseLabel(request: Request): void {
  const label = optionalIn(request, 'MountLabel')
  if (label === undefined) return
  throw new VarveError(
    'UNIMPLEMENTED',
    `MountLabel: this version mounts without an SELinux context; start dockerd without --selinux-enabled`,
  )
}

/** The lines of `docker info`. */
async function statusOf(store: Store): Promise<readonly (readonly [string, string])[]> {
  const { root, driver, layers, mounts, status } = await store.info()
  const home = toldBefore(store)?.home
  return [
    ['Driver', driver],
    ['Root', root],
    ...(home === undefined ? [] : [['Engine Home', home] as const]),
    ['Layers', String(layers)],
    ['Mounts', String(mounts)],
    ...status,
  ]
}
