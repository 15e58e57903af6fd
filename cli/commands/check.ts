import { type Finding, rebuildDatabase, STATUS } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { count } from '../print/format.js'

export const command = defineCommand({
  positionals: {
    layer: {
      type: 'string',
      array: true,
      describe: 'Only these: layers, or images with all their layers; default: the whole store',
      completes: 'target',
    },
  },
  options: {
    data: { type: 'boolean', describe: 'Read and verify every stored byte' },
    repair: { type: 'boolean', describe: 'Repair what can be repaired' },
    rebuild: {
      type: 'boolean',
      describe: 'First rebuild the database from the files beside the layers; the old one is kept in backup/',
    },
  },
  examples: [
    { line: 'check', does: 'Exit status 0 if all is well, 9 if not' },
    { line: 'check --data', does: 'Compare every byte with its digest' },
    { line: 'check --data 50f762cf', does: "Only one layer; an engine's layer too, by a prefix of its id" },
    { line: 'check --repair', does: 'And repair what can be repaired' },
    {
      line: 'check --rebuild',
      does: 'If varve.db is gone or garbage; nothing else may use the root meanwhile',
    },
  ],
  async run({ layer, data, repair, rebuild }, { output, store, long, global }) {
    if (rebuild === true) {
      const { drivers } = await import('../../drivers/all.js')
      await rebuildDatabase({ root: global.root, drivers })
    }
    const only = layer === undefined || layer.length === 0 ? {} : { layers: layer }
    const options = { ...long, ...only, data: data === true, repair: repair === true || rebuild === true }
    let found = 0
    let left = 0
    for await (const finding of (await store()).check(options)) {
      found += 1
      if (!finding.repaired) left += 1
      if (output.json) await output.value(finding)
      else if (output.quiet) await output.line(finding.subject)
      else await output.line(text(finding))
      // The next finding may be minutes away.
      await output.flush()
    }
    if (!output.json && !output.quiet) await output.line(summary(found, left))
    return left === 0 ? 0 : STATUS.CORRUPT.exit
  },
})

function text(finding: Finding): string {
  const remedy = finding.repaired
    ? `repaired: ${finding.repair}`
    : finding.repair !== undefined
      ? `--repair would: ${finding.repair}`
      : finding.heal !== undefined
        ? `heal it: ${finding.heal}`
        : 'no repair'
  return `${finding.check}: ${finding.subject}: ${finding.message} (${remedy})`
}

function summary(found: number, left: number): string {
  if (found === 0) return 'all is well'
  return `${count(found, 'finding')}, ${found - left} repaired`
}
