/** The fields of `varve layers --json` that matter for containerd's snapshots. */
import type { Varve } from '../../support/varve.js'

export interface LayerLine {
  readonly id: string
  readonly kind: string
  readonly parent?: string
  /** Its names as a snapshot: a namespace, a number and the name that containerd's client gave. */
  readonly snapshots: readonly string[]
}

/** Parents before children. */
export function layersOf(varve: Varve): Promise<readonly LayerLine[]> {
  return varve.json<LayerLine>('layers')
}

export function idsOf(layers: readonly LayerLine[]): readonly string[] {
  return layers.map(({ id }) => id).sort()
}
