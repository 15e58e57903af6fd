import { type FileInfo, fromText } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'
import { baseName, relativePath } from '../args/paths.js'
import { minute, name, size } from '../print/format.js'
import { fileJson } from '../print/json.js'

export const command = defineCommand({
  positionals: {
    target: { type: 'string', demandOption: true, describe: TARGET, completes: 'target' },
    path: { type: 'string', describe: 'The directory to list; default: the root' },
  },
  options: {
    recursive: { type: 'boolean', alias: 'R', describe: 'Everything below, with full paths' },
    merged: {
      type: 'boolean',
      describe: 'What a mount would show, with all layers below; always on for an image',
    },
  },
  examples: [
    { line: 'ls debian:12 /etc', does: 'A directory of an image' },
    { line: "ls 'debian:12#1' -R", does: 'What one layer holds, with its whiteouts' },
    { line: "ls 'debian:12#1' / --merged", does: 'The tree of this layer and all below it' },
  ],
  async run({ target, path, recursive, merged }, { output, store, long }) {
    const opened = await store()
    const files = opened.list(target, {
      ...long,
      path: relativePath(fromText(path ?? '')),
      recursive: recursive === true,
      merged: merged === true || opened.resolve(target).kind === 'image',
    })
    for await (const file of files) {
      if (output.json) await output.value(fileJson(file))
      else if (output.quiet) await output.line(`/${name(file.path)}`)
      else await output.line(fileLine(file, recursive === true ? `/${file.path}` : baseName(file.path)))
    }
    return undefined
  },
})

/** `-rwxr-xr-x 0:0          1.2 MiB 2024-05-01 12:30 bash`, much like `ls -l`. */
function fileLine(file: FileInfo, shown: string): string {
  const device = file.type === 'char' || file.type === 'block'
  const amount = device
    ? `${file.devMajor}, ${file.devMinor}`
    : file.type === 'file' && file.hardlink === undefined
      ? size(file.size)
      : '-'
  const owner = `${file.uid}:${file.gid}`.padEnd(11)
  const fields = [
    modeText(file),
    owner,
    amount.padStart(9),
    minute(file.mtimeSec),
    `${name(shown)}${remark(file)}`,
  ]
  return fields.join(' ')
}

const LETTERS: Readonly<Record<FileInfo['type'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  char: 'c',
  block: 'b',
  fifo: 'p',
  socket: 's',
  whiteout: 'w',
  opaque: 'o',
}

function remark(file: FileInfo): string {
  if (file.type === 'symlink') return ` -> ${name(file.target)}`
  if (file.type === 'whiteout') return '  (whiteout: deletes what is below)'
  if (file.type === 'opaque') return '  (opaque: hides all that is below)'
  return file.hardlink === undefined ? '' : `  (hard link to /${name(file.hardlink)})`
}

/** `drwxr-sr-t`; POSIX ls, "-l". */
function modeText(file: FileInfo): string {
  const { mode, type } = file
  if (type === 'whiteout' || type === 'opaque') return `${LETTERS[type]}---------`
  const three = (shift: number, special: boolean, letter: string) => {
    const bits = mode >> shift
    const execute = (bits & 1) !== 0
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-'
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`
  }
  const user = three(6, (mode & 0o4000) !== 0, 's')
  const group = three(3, (mode & 0o2000) !== 0, 's')
  const others = three(0, (mode & 0o1000) !== 0, 't')
  return LETTERS[type] + user + group + others
}
