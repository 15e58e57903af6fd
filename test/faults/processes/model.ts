/**
 * What must be in the store according to the journals. Each process has its own layers; a shared layer is created by one.
 */
import type { Operation, Told } from './journal.js'

export interface ModelLayer {
  readonly kind: 'active' | 'committed'
  readonly parent: string | undefined
  /** Names of files, which are also their content, including those of its parents. */
  readonly files: readonly string[]
  /** Does it have a file of its own? Layers with the same content become one when they are committed. */
  readonly isWritten: boolean
}

export interface Model {
  readonly layers: Map<string, ModelLayer>
  /** The layer that the process was working on when it was killed; its state is unknown. */
  doubtful: string | undefined
}

export function emptyModel(): Model {
  return { layers: new Map(), doubtful: undefined }
}

export function replay(told: readonly Told[]): Model {
  const model = emptyModel()
  for (const { operation, end } of told) {
    if (end === undefined) model.doubtful = operation.id
    else if ('done' in end) apply(model, operation)
  }
  return model
}

export function apply({ layers }: Model, { kind, id, parent, file }: Operation): void {
  const layer = layers.get(id)
  if (kind === 'create') {
    const files = (parent === undefined ? undefined : layers.get(parent)?.files) ?? []
    layers.set(id, { kind: 'active', parent, files, isWritten: false })
  } else if (kind === 'remove') layers.delete(id)
  else if (layer === undefined) return
  else if (kind === 'commit') layers.set(id, { ...layer, kind: 'committed' })
  else if (kind === 'write' && file !== undefined) {
    layers.set(id, { ...layer, files: [...layer.files, file], isWritten: true })
  }
}

/** An operation that must succeed according to the model. `pick` returns an element of a list. */
export function choose(
  { layers }: Model,
  fresh: string,
  pick: <T>(list: readonly T[]) => T | undefined,
): Operation {
  const all = [...layers]
  const active = all.filter(([, layer]) => layer.kind === 'active')
  const committed = all.filter(([, layer]) => layer.kind === 'committed')
  const leaves = all.filter(([id]) => !all.some(([, layer]) => layer.parent === id))
  const kind = pick([
    'create',
    'create',
    'write',
    'write',
    'commit',
    'remove',
    'read',
    'export',
    'import',
    'share',
    'list',
  ] as const)
  const of = (list: typeof all): string | undefined => pick(list)?.[0]
  const wanted = {
    create: fresh,
    write: of(active),
    commit: of(active.filter(([, layer]) => layer.isWritten)),
    remove: of(leaves),
    read: of(all.filter(([, layer]) => layer.files.length > 0)),
    export: of(committed),
    import: `tar-${pick([0, 1, 2])}`,
    share: `shared-${pick([0, 1, 2, 3])}`,
    list: 'all',
  }
  const id = kind && wanted[kind]
  if (kind === undefined || id === undefined || kind === 'create') {
    const parent = pick([undefined, of(committed)])
    return { kind: 'create', id: fresh, ...(parent !== undefined && { parent }) }
  }
  return kind === 'write' ? { kind, id, file: `file-${fresh}` } : { kind, id }
}
