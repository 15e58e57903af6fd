import { basename } from 'node:path'
import { VarveError } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { oneOf } from '../args/options.js'
import { SCRIPTS } from './completion-scripts.js'

export const command = defineCommand({
  positionals: {
    shell: { ...oneOf('shell', ['bash', 'zsh', 'fish']), describe: 'Default: the one that SHELL names' },
  },
  options: {},
  examples: [
    { line: 'completion bash > /etc/bash_completion.d/varve', does: 'bash, for all users' },
    { line: 'completion zsh > ~/.zsh/completions/_varve', does: 'zsh, where that folder is in fpath' },
    { line: 'completion fish > ~/.config/fish/completions/varve.fish', does: 'fish' },
  ],
  async run({ shell }, { output }) {
    const chosen = shell ?? shellOf(process.env.SHELL)
    if (chosen === undefined) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        'completion: SHELL is not bash, zsh or fish; name one: varve completion bash',
      )
    }
    if (output.json) await output.value({ shell: chosen, script: SCRIPTS[chosen] })
    else await output.write(SCRIPTS[chosen])
    return undefined
  },
})

function shellOf(path: string | undefined): keyof typeof SCRIPTS | undefined {
  const name = basename(path ?? '')
  return name === 'bash' || name === 'zsh' || name === 'fish' ? name : undefined
}
