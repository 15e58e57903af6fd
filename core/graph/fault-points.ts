/**
 * The crash order, by name. Every step of what changes the store passes a fault point before and after itself
 * (core/sys/seam.ts), so that a test can kill the process between any two of them.
 */
import { point } from '../sys/seam.js'

/** In the order in which they happen. */
export const STEPS = [
  'import:node',
  'import:create',
  'import:apply',
  'import:sync',
  'import:seal',
  'import:ready',
  'import:image',
  'prepare:node',
  'prepare:create',
  'prepare:ready',
  'commit:record',
  'commit:sync',
  'commit:seal',
  'commit:ready',
  'remove:image',
  'remove:mark',
  'remove:driver',
  'remove:rows',
  'mount:row',
  'mount:attach',
  'unmount:detach',
  'unmount:row',
  'heal:apply',
  'heal:tree',
  'heal:seal',
  'heal:ready',
] as const

export type Step = (typeof STEPS)[number]

/** Every fault point there is: `<operation>:<step>:before` and `…:after`. */
export const FAULT_POINTS: readonly string[] = STEPS.flatMap((step) => [`${step}:before`, `${step}:after`])

/** Does one step between its two fault points. */
export async function step<T>(name: Step, work: () => Promise<T> | T): Promise<T> {
  point(`${name}:before`)
  const result = await work()
  point(`${name}:after`)
  return result
}
