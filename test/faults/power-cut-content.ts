/** What power-cut-calls.ts prints and writes, and where its files are afterwards. */
import type { Mount } from '../../core/driver.js'

/** The output that says that all calls are done. */
export const THROUGH = 'through\n'

/** A few pages of text. */
export function contentFor(name: string): string {
  return `${name}\n`.repeat(3000)
}

/** The directories that a snapshot stacks, the writable one first. */
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
