import { type DetailedChange, type FileInfo, type Store, VarveError } from '../../core/store.js'
import { type Context, defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'
import { refuseTerminal, toStdout } from '../print/binary.js'
import { statsOf, statText, totalOf } from '../print/change-stat.js'
import { name } from '../print/format.js'
import { changeJson, jsonPath } from '../print/json.js'
import { patchText, type ReadSide } from '../print/patch.js'

export const command = defineCommand({
  positionals: {
    a: {
      type: 'string',
      demandOption: true,
      describe: `${TARGET}; without B, compared with its parent`,
      completes: 'target',
    },
    b: { type: 'string', describe: 'Compare A with this: what turns A into B', completes: 'target' },
  },
  options: {
    tar: { type: 'boolean', describe: 'As a layer tar with OCI whiteouts' },
    stat: { type: 'boolean', describe: 'How the sizes changed, with totals' },
    content: { type: 'boolean', describe: "As a patch of the text files, in git's form" },
  },
  examples: [
    {
      line: 'diff work',
      does: 'What changed in a writable layer, as lines of A (added), C (changed) and D (deleted)',
    },
    { line: 'diff debian:11 debian:12 --stat', does: 'Between any two images or layers' },
    { line: 'diff work --content', does: 'The lines that changed' },
    { line: 'diff app:1 app:2 --tar > delta.tar', does: 'A layer that turns app:1 into app:2' },
  ],
  async run({ a, b, tar, stat, content }, context) {
    const { output, store, long, signal } = context
    if ([tar, stat, content].filter((flag) => flag === true).length > 1) {
      throw new VarveError('INVALID_ARGUMENT', 'diff: choose one of --tar, --stat and --content')
    }
    const [from, to] = b === undefined ? [undefined, a] : [a, b]
    if (tar === true) {
      refuseTerminal(output, 'diff --tar')
      await toStdout((await store()).diffTar(from, to, long), output, signal)
      return undefined
    }
    const opened = await store()
    const changes = opened.diff(from, to, long)
    const older = olderOf(opened, from, to)
    if (stat === true) await printStat(opened, changes, { older, context })
    else if (content === true) await printPatch(changes, sides(opened, older, to), context)
    else await printChanges(changes, context)
    return undefined
  },
})

const LETTERS: Readonly<Record<DetailedChange['kind'], string>> = { add: 'A', modify: 'C', delete: 'D' }

async function printChanges(changes: AsyncIterable<DetailedChange>, { output }: Context): Promise<void> {
  for await (const change of changes) {
    if (output.json) await output.value(changeJson(change))
    // As in docker diff, the root itself is not listed; --json, --stat and --tar do list it.
    else if (change.path !== '') await output.line(`${LETTERS[change.kind]} /${name(change.path)}`)
  }
}

interface StatOptions {
  readonly older: string | undefined
  readonly context: Context
}

async function printStat(
  store: Store,
  changes: AsyncIterable<DetailedChange>,
  { older, context: { output, long } }: StatOptions,
): Promise<void> {
  const stats = await statsOf(changes, () =>
    older === undefined ? nothing() : store.list(older, { ...long, recursive: true, merged: true }),
  )
  if (!output.json) return output.write(statText(stats))
  for (const stat of stats) await output.value({ ...stat, path: jsonPath(stat.path) })
  await output.value({ total: totalOf(stats) })
}

async function printPatch(
  changes: AsyncIterable<DetailedChange>,
  { before, after }: Sides,
  { output }: Context,
): Promise<void> {
  for await (const change of changes) {
    const patch = await patchText(change, before, after)
    if (output.json) await output.value({ ...changeJson(change), patch })
    else await output.content(patch)
  }
}

interface Sides {
  readonly before: ReadSide
  readonly after: ReadSide
}

/** The older side: A, or the parent if there is only one layer. A single image is compared with nothing. */
function olderOf(store: Store, from: string | undefined, to: string): string | undefined {
  const found = store.resolve(to)
  return from ?? (found.kind === 'layer' ? found.layer.parent : undefined)
}

function sides(store: Store, older: string | undefined, to: string): Sides {
  const empty: ReadSide = () => Promise.resolve(Buffer.alloc(0))
  return { before: older === undefined ? empty : reader(store, older), after: reader(store, to) }
}

function reader(store: Store, target: string): ReadSide {
  return async (file: FileInfo) => {
    const chunks: Buffer[] = []
    for await (const chunk of store.read(target, file.path)) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks)
  }
}

async function* nothing(): AsyncGenerator<FileInfo, void> {}
