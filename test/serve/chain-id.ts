/** The chain id of a stack of layer tars: https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid */
import { createHash } from 'node:crypto'

/** From the base up. */
export function chainIdOf(layers: readonly Buffer[]): string {
  const hash = (bytes: Buffer | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const [base = '', ...rest] = layers.map(hash)
  return rest.reduce((chain, diffId) => hash(`${chain} ${diffId}`), base)
}
