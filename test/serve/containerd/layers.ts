/** What `varve layers` says, as far as somebody who looks at containerd's snapshots wants to know. */
import type { Varve } from '../../support/varve.js'

export interface LayerLine {
  readonly id: string
  readonly kind: string
  readonly parent?: string
  /** The snapshots that it is, each by its namespace, a number and the name that containerd's client gave. */
  readonly snapshots: readonly string[]
}

/** Parents before children. */
export function layersOf(varve: Varve): Promise<readonly LayerLine[]> {
  return varve.json<LayerLine>('layers')
}

export function idsOf(layers: readonly LayerLine[]): readonly string[] {
  return layers.map(({ id }) => id).sort()
}
