/** What power-cut-calls.ts says and writes, and where that is afterwards. */
import type { Mount } from '../../core/driver.js'

/** It has done all of its calls. */
export const THROUGH = 'through\n'

/** Some pages of it. */
export function contentFor(name: string): string {
  return `${name}\n`.repeat(3000)
}

/** The directories that a snapshot shows one over the other, the one that is written to first. */
export function treesOf(mounts: readonly Mount[]): readonly string[] {
  return mounts.flatMap(({ type, source, options }) => {
    if (type === 'bind') return [source]
    return [optionOf(options, 'upperdir'), ...(optionOf(options, 'lowerdir')?.split(':') ?? [])].filter(
      (each) => each !== undefined,
    )
  })
}

function optionOf(options: readonly string[], name: string): string | undefined {
  return options.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
}
