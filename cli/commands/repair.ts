import { type RepairedLayer, STATUS, VarveError } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { count } from '../print/format.js'

export const command = defineCommand({
  positionals: {
    layer: {
      type: 'string',
      array: true,
      describe: 'Only these layers or images, and the layers below them; default: all that SOURCE holds',
      completes: 'target',
    },
  },
  options: {
    from: {
      type: 'string',
      requiresArg: true,
      describe: "SOURCE: an image archive or layout, a layer's tar, another store's root, or -",
      completes: 'file',
    },
    'dry-run': { type: 'boolean', describe: 'Say what is damaged, and change nothing' },
  },
  examples: [
    {
      line: 'repair --from debian.tar',
      does: 'Check every layer that the archive holds, and heal the damaged ones in place',
    },
    { line: 'repair --from debian.tar debian:12', does: 'Only the layers of one image' },
    { line: 'repair --from /mnt/other/varve --dry-run', does: 'What another store could heal here' },
  ],
  async run({ layer, from, 'dry-run': dryRun }, { output, store, long }) {
    if (from === undefined || from === '') {
      throw new VarveError('INVALID_ARGUMENT', 'repair: name the SOURCE of good layers with --from')
    }
    const only = layer === undefined || layer.length === 0 ? {} : { layers: layer }
    const tally = { sound: 0, damaged: 0, healed: 0, failed: 0 }
    for await (const one of (await store()).repair({ ...long, ...only, from, dryRun: dryRun === true })) {
      tally[one.outcome]++
      if (output.json) await output.value(one)
      else if (one.outcome !== 'sound') await output.line(output.quiet ? one.chainId : text(one))
      // The next layer may be minutes away.
      await output.flush()
    }
    const { sound, damaged, healed, failed } = tally
    if (!output.json && !output.quiet) {
      const words = [
        `${count(sound, 'layer')} sound`,
        ...(damaged > 0 ? [`${damaged} to be healed`] : []),
        ...(healed > 0 ? [`${healed} healed`] : []),
        ...(failed > 0 ? [`${failed} not healed`] : []),
      ]
      await output.line(words.join(', '))
    }
    return failed + damaged === 0 ? 0 : STATUS.CORRUPT.exit
  },
})

function text({ chainId, outcome, problems, changed, record, reason }: RepairedLayer): string {
  const [first = ''] = problems
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  const done = [
    ...(changed === undefined ? ['the whole layer'] : changed > 0 ? [count(changed, 'file')] : []),
    ...(record === true ? ['the record of its tar'] : []),
  ].join(' and ')
  const end = {
    sound: '',
    damaged: 'would be healed',
    healed: `healed: ${done === '' ? 'it is verified' : done}`,
    failed: `not healed: ${reason}`,
  }[outcome]
  return `${chainId.slice(0, 19)}: ${first}${more} (${end})`
}
